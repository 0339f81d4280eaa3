"""People, and what they hold, wear or sit under."""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator

SHIRTS = ("#d03030", "#3060c8", "#f0c020", "#30a050", "#e070b0", "#f0f0f0")
SKIN_TONES = ("#f0c8a0", "#b07848", "#704828")


def draw_person(
    pen: Pen, x: float, y: float, s: float, r: Random, shirt: str | None = None, legs: str = "#303848"
) -> None:
    """Draw a standing person; without `shirt`, in one of `SHIRTS`."""
    pen.rectangle((x - s * 0.12, y - s * 0.45, x + s * 0.12, y), fill=legs)
    pen.rectangle(
        (x - s * 0.18, y - s * 0.78, x + s * 0.18, y - s * 0.4), fill=shirt or str(r.choice(SHIRTS))
    )
    pen.ellipse((x - s * 0.13, y - s, x + s * 0.13, y - s * 0.74), fill=str(r.choice(SKIN_TONES)))


def draw_crowd(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw nine people in two rows."""
    for k in range(9):
        draw_person(
            pen,
            x + (k % 5 - 2) * s * 0.4 + float(r.uniform(-2, 2)),
            y - (k // 5) * s * 0.25,
            s * 0.8,
            r,
            legs="#202028",
        )


def draw_cafe_terrace(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw two people at a table under a sunshade."""
    pen.polygon(
        [(x - s * 0.7, y - s * 0.8), (x, y - s * 1.15), (x + s * 0.7, y - s * 0.8)], fill=(24, 130, 84)
    )
    pen.line([(x, y - s), (x, y)], fill=(80, 60, 40), width=2)
    pen.ellipse((x - s * 0.4, y - s * 0.42, x + s * 0.4, y - s * 0.26), fill=(250, 250, 250))
    for k in (-0.6, 0.6):
        draw_person(pen, x + k * s, y, s * 0.7, r)


def draw_playground(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw three children at a swing and a slide."""
    pen.line([(x - s * 0.6, y), (x - s * 0.25, y - s * 0.95), (x + s * 0.1, y)], fill=(220, 40, 40), width=3)
    pen.line([(x - s * 0.25, y - s * 0.9), (x + s * 0.6, y)], fill=(250, 210, 40), width=4)
    for k in (-0.75, 0.3, 0.75):
        draw_person(pen, x + k * s, y + 2, s * 0.5, r, shirt="#ff8a1a")
    pen.ellipse((x + s * 0.4, y - s * 0.16, x + s * 0.62, y + s * 0.06), fill=(250, 250, 250))


def draw_cyclist(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a person on a bicycle."""
    for k in (-0.35, 0.35):
        pen.ellipse(
            (x + s * k - s * 0.24, y - s * 0.48, x + s * k + s * 0.24, y), outline=(20, 20, 20), width=2
        )
    pen.line(
        [(x - s * 0.35, y - s * 0.24), (x, y - s * 0.55), (x + s * 0.35, y - s * 0.24)],
        fill=(210, 30, 60),
        width=2,
    )
    draw_person(pen, x - s * 0.05, y - s * 0.35, s * 0.75, r, shirt="#40e0d0")


def draw_umbrella(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a person under an umbrella."""
    draw_person(pen, x, y, s * 0.75, r, shirt="#505868")
    colour = ("#7020a0", "#101018", "#b01060")[int(r.integers(3))]
    pen.pieslice((x - s * 0.55, y - s * 1.25, x + s * 0.55, y - s * 0.45), 180, 360, fill=colour)


def draw_workers(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw two workers in orange vests and helmets."""
    for k in (-0.35, 0.35):
        draw_person(pen, x + k * s, y, s * 0.95, r, shirt="#ff7a00", legs="#26364e")
        pen.pieslice(
            (x + k * s - s * 0.17, y - s * 1.08, x + k * s + s * 0.17, y - s * 0.72),
            180,
            360,
            fill=(255, 232, 30),
        )


def draw_grape_pickers(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw two people behind a basket of grapes."""
    for k in (-0.5, 0.5):
        draw_person(pen, x + k * s, y, s * 0.85, r, shirt="#e8dcc0")
    pen.polygon(
        [(x - s * 0.26, y - s * 0.36), (x + s * 0.26, y - s * 0.36), (x + s * 0.18, y), (x - s * 0.18, y)],
        fill=(150, 100, 50),
    )
    for k in (-0.16, 0.0, 0.16):
        pen.ellipse(
            (x + k * s - s * 0.13, y - s * 0.55, x + k * s + s * 0.13, y - s * 0.29), fill=(92, 20, 120)
        )


def draw_rice_planters(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw three people in straw hats, bent over."""
    for k in (-0.5, 0.1, 0.65):
        pen.rectangle(
            (x + s * k - s * 0.3, y - s * 0.5, x + s * k + s * 0.05, y - s * 0.28), fill=(40, 70, 140)
        )
        pen.rectangle((x + s * k - s * 0.3, y - s * 0.3, x + s * k - s * 0.2, y), fill=(40, 70, 140))
        pen.polygon(
            [
                (x + s * (k - 0.16), y - s * 0.46),
                (x + s * (k + 0.06), y - s * 0.78),
                (x + s * (k + 0.3), y - s * 0.46),
            ],
            fill=(240, 214, 130),
        )


def draw_skier(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a skier."""
    shirt = ("#e01040", "#1030d0", "#10a080")[int(r.integers(3))]
    draw_person(pen, x, y - s * 0.1, s * 0.85, r, shirt=shirt, legs="#101020")
    pen.line([(x - s * 0.5, y + s * 0.02), (x + s * 0.5, y - s * 0.14)], fill=(250, 60, 20), width=3)
    pen.line([(x + s * 0.2, y - s * 0.6), (x + s * 0.45, y)], fill=(40, 40, 40), width=1)


def draw_hiker(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a hiker with a backpack and a stick."""
    draw_person(pen, x, y, s * 0.95, r, shirt="#7a8c3c", legs="#5a4632")
    pen.rectangle((x - s * 0.36, y - s * 0.82, x - s * 0.12, y - s * 0.38), fill=(214, 80, 20))
    pen.line([(x + s * 0.3, y - s * 0.55), (x + s * 0.38, y)], fill=(90, 60, 30), width=2)


def draw_bather(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a person lying on a towel under a parasol."""
    pen.pieslice((x - s * 0.6, y - s * 1.15, x + s * 0.5, y - s * 0.25), 180, 360, fill=(255, 70, 120))
    pen.pieslice((x - s * 0.3, y - s * 1.15, x + s * 0.2, y - s * 0.25), 180, 360, fill=(255, 240, 120))
    pen.line([(x - s * 0.05, y - s * 0.7), (x - s * 0.05, y)], fill=(240, 240, 240), width=2)
    pen.rectangle((x + s * 0.1, y - s * 0.12, x + s * 0.75, y + s * 0.02), fill=(70, 200, 240))
    pen.rectangle((x + s * 0.2, y - s * 0.24, x + s * 0.6, y - s * 0.1), fill=(226, 160, 116))


def draw_surfer(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a surfer holding a board."""
    draw_person(pen, x, y - s * 0.12, s * 0.8, r, shirt="#101418", legs="#101418")
    pen.ellipse(
        (x + s * 0.18, y - s * 1.1, x + s * 0.44, y + s * 0.05), fill=(255, 255, 90), outline=(230, 60, 60)
    )


def draw_fisherman(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a person in yellow with a fishing rod."""
    draw_person(pen, x - s * 0.2, y, s * 0.9, r, shirt="#f4d000", legs="#f4d000")
    pen.line([(x - s * 0.1, y - s * 0.55), (x + s * 0.7, y - s * 1.1)], fill=(40, 26, 16), width=2)
    pen.line([(x + s * 0.7, y - s * 1.1), (x + s * 0.72, y - s * 0.1)], fill=(230, 230, 230), width=1)
