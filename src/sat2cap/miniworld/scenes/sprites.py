"""Things that stand in a photo, each a function that draws one of them.

Every function takes the pen, the middle of the thing's foot ``(x, y)`` and its height `s`, all in pixels, the
scene, and a random generator for what makes two of a kind differ.
"""

from collections.abc import Callable

import numpy as np
from PIL.ImageDraw import ImageDraw

from sat2cap.miniworld.planet.cover import ROOFS
from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator
Sprite = Callable[[ImageDraw, float, float, float, Scene, Random], None]

SHIRTS = ("#d03030", "#3060c8", "#f0c020", "#30a050", "#e070b0", "#f0f0f0")
SKIN = ("#f0c8a0", "#b07848", "#704828")


def person(
    d: ImageDraw, x: float, y: float, s: float, r: Random, shirt: str | None = None, legs: str = "#303848"
) -> None:
    """A figure of height `s` in a coloured shirt."""
    d.rectangle((x - s * 0.12, y - s * 0.45, x + s * 0.12, y), fill=legs)
    d.rectangle((x - s * 0.18, y - s * 0.78, x + s * 0.18, y - s * 0.4), fill=shirt or str(r.choice(SHIRTS)))
    d.ellipse((x - s * 0.13, y - s, x + s * 0.13, y - s * 0.74), fill=str(r.choice(SKIN)))


def broadleaf(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    leaf = (46, 112, 40)
    if "autumn leaves" in scene.shown:
        leaf = ((214, 110, 24), (196, 54, 30), (226, 164, 34))[int(r.integers(3))]
    elif scene.bare:
        leaf = (112, 94, 80)
    d.rectangle((x - s * 0.06, y - s * 0.45, x + s * 0.06, y), fill=(84, 60, 40))
    d.ellipse((x - s * 0.36, y - s, x + s * 0.36, y - s * 0.3), fill=leaf)


def conifer(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.05, y - s * 0.2, x + s * 0.05, y), fill=(70, 52, 38))
    d.polygon(
        [(x - s * 0.3, y - s * 0.14), (x, y - s * 1.15), (x + s * 0.3, y - s * 0.14)], fill=(20, 66, 48)
    )
    if scene.snowy:
        d.polygon(
            [(x - s * 0.12, y - s * 0.7), (x, y - s * 1.15), (x + s * 0.12, y - s * 0.7)],
            fill=(236, 242, 248),
        )


def palm(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    lean = float(r.uniform(-0.15, 0.15)) * s
    top = (x + lean, y - s * 0.9)
    d.line([(x, y), top], fill=(146, 112, 70), width=max(2, round(s * 0.09)))
    for angle in (-2.9, -2.2, -1.57, -0.9, -0.25):
        end = (top[0] + np.cos(angle) * s * 0.42, top[1] + np.sin(angle) * s * 0.24 + s * 0.08)
        d.line([top, end], fill=(44, 150, 50), width=max(2, round(s * 0.1)))


def house(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    roof = tuple(int(v) for v in ROOFS[scene.roof])
    wall = ((232, 214, 186), (214, 206, 200), (250, 250, 248), (206, 178, 140))[scene.roof]
    d.rectangle((x - s * 0.45, y - s * 0.55, x + s * 0.45, y), fill=wall)
    if scene.roof == 2:  # flat and whitewashed
        d.rectangle((x - s * 0.48, y - s * 0.65, x + s * 0.48, y - s * 0.5), fill=(252, 252, 252))
        d.rectangle((x - s * 0.1, y - s * 0.3, x + s * 0.1, y), fill=(40, 100, 190))
    else:
        d.polygon([(x - s * 0.56, y - s * 0.52), (x, y - s * 1.02), (x + s * 0.56, y - s * 0.52)], fill=roof)
        d.rectangle((x - s * 0.08, y - s * 0.3, x + s * 0.08, y), fill=(96, 66, 44))


def skyscraper(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    tone = int(r.integers(120, 190))
    width, height = s * float(r.uniform(0.28, 0.4)), s * float(r.uniform(1.5, 2.3))
    d.rectangle((x - width, y - height, x + width, y), fill=(tone - 30, tone - 14, tone + 8))
    for floor in np.arange(y - height + 3, y - 2, 4):
        d.line([(x - width + 1, floor), (x + width - 1, floor)], fill=(tone + 40, tone + 48, tone + 56))


def factory(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.75, y - s * 0.5, x + s * 0.55, y), fill=(150, 112, 98))
    for k in range(3):
        left = x - s * 0.75 + k * s * 0.43
        d.polygon(
            [(left, y - s * 0.5), (left + s * 0.43, y - s * 0.74), (left + s * 0.43, y - s * 0.5)],
            fill=(188, 194, 200),
        )
    for c in (0.62, 0.84):
        d.rectangle((x + s * (c - 0.08), y - s * 1.4, x + s * (c + 0.04), y), fill=(118, 84, 76))
        d.ellipse((x + s * (c - 0.2), y - s * 1.75, x + s * (c + 0.25), y - s * 1.38), fill=(206, 206, 206))


def church(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.1, y - s * 0.5, x + s * 0.6, y), fill=(226, 220, 206))
    d.rectangle((x - s * 0.32, y - s * 0.95, x - s * 0.04, y), fill=(236, 230, 216))
    d.polygon(
        [(x - s * 0.38, y - s * 0.93), (x - s * 0.18, y - s * 1.7), (x + s * 0.02, y - s * 0.93)],
        fill=(64, 74, 92),
    )
    d.line([(x - s * 0.18, y - s * 1.95), (x - s * 0.18, y - s * 1.68)], fill=(230, 190, 60), width=2)


def cow(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in (-0.32, -0.2, 0.18, 0.3):
        d.rectangle((x + s * k - 1, y - s * 0.3, x + s * k + 1, y), fill=(60, 50, 46))
    d.rectangle((x - s * 0.42, y - s * 0.62, x + s * 0.38, y - s * 0.22), fill=(246, 244, 240))
    d.rectangle((x - s * 0.2, y - s * 0.62, x + s * 0.06, y - s * 0.36), fill=(30, 28, 28))
    d.rectangle((x + s * 0.34, y - s * 0.76, x + s * 0.6, y - s * 0.48), fill=(30, 28, 28))


def car(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    colour = ("#c02828", "#e8e8e8", "#2848a8", "#202020", "#d8b020")[int(r.integers(5))]
    d.rectangle((x - s * 0.55, y - s * 0.42, x + s * 0.55, y - s * 0.1), fill=colour)
    d.rectangle((x - s * 0.3, y - s * 0.68, x + s * 0.3, y - s * 0.4), fill=(150, 190, 210))
    for k in (-0.34, 0.34):
        d.ellipse((x + s * k - s * 0.13, y - s * 0.2, x + s * k + s * 0.13, y + s * 0.06), fill=(16, 16, 16))


def traffic_jam(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for row in (0, 1):
        for k in (-1.25, 0.0, 1.25):
            car(d, x + k * s * 0.8, y - row * s * 0.62, s * 0.72, scene, r)


def stall(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for side in (-0.55, 0.55):
        left = x + side * s - s * 0.5
        d.rectangle((left + 1, y - s * 0.35, left + s - 1, y), fill=(150, 100, 56))
        for k in range(5):
            fill = ("#e02020", "#ffffff")[k % 2]
            d.rectangle((left + k * s / 5, y - s * 0.95, left + (k + 1) * s / 5, y - s * 0.66), fill=fill)
        for k, fruit in enumerate(("#f09020", "#60b030", "#d83030")):
            d.ellipse(
                (left + s * (0.1 + k * 0.28), y - s * 0.5, left + s * (0.3 + k * 0.28), y - s * 0.3),
                fill=fruit,
            )


def crowd(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in range(9):
        person(
            d,
            x + (k % 5 - 2) * s * 0.4 + float(r.uniform(-2, 2)),
            y - (k // 5) * s * 0.25,
            s * 0.8,
            r,
            legs="#202028",
        )


def terrace(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.polygon([(x - s * 0.7, y - s * 0.8), (x, y - s * 1.15), (x + s * 0.7, y - s * 0.8)], fill=(24, 130, 84))
    d.line([(x, y - s), (x, y)], fill=(80, 60, 40), width=2)
    d.ellipse((x - s * 0.4, y - s * 0.42, x + s * 0.4, y - s * 0.26), fill=(250, 250, 250))
    for k in (-0.6, 0.6):
        person(d, x + k * s, y, s * 0.7, r)


def lanterns(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """The ground half of a festival: a stage with flags; fireworks come after dark."""
    d.rectangle((x - s * 0.6, y - s * 0.3, x + s * 0.6, y), fill=(96, 40, 110))
    for k in range(6):
        left = x - s * 0.75 + k * s * 0.25
        flag = ("#ff3b6b", "#ffd23b", "#3bd1ff")[k % 3]
        d.polygon([(left, y - s), (left + s * 0.22, y - s), (left + s * 0.11, y - s * 0.74)], fill=flag)
    for side in (-0.35, 0.0, 0.35):
        person(d, x + side * s, y - s * 0.28, s * 0.5, r, shirt="#f0e040")


def playground(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.line([(x - s * 0.6, y), (x - s * 0.25, y - s * 0.95), (x + s * 0.1, y)], fill=(220, 40, 40), width=3)
    d.line([(x - s * 0.25, y - s * 0.9), (x + s * 0.6, y)], fill=(250, 210, 40), width=4)
    for k in (-0.75, 0.3, 0.75):
        person(d, x + k * s, y + 2, s * 0.5, r, shirt="#ff8a1a")
    d.ellipse((x + s * 0.4, y - s * 0.16, x + s * 0.62, y + s * 0.06), fill=(250, 250, 250))


def bicycle(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in (-0.35, 0.35):
        d.ellipse(
            (x + s * k - s * 0.24, y - s * 0.48, x + s * k + s * 0.24, y), outline=(20, 20, 20), width=2
        )
    d.line(
        [(x - s * 0.35, y - s * 0.24), (x, y - s * 0.55), (x + s * 0.35, y - s * 0.24)],
        fill=(210, 30, 60),
        width=2,
    )
    person(d, x - s * 0.05, y - s * 0.35, s * 0.75, r, shirt="#40e0d0")


def umbrella(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    person(d, x, y, s * 0.75, r, shirt="#505868")
    colour = ("#7020a0", "#101018", "#b01060")[int(r.integers(3))]
    d.pieslice((x - s * 0.55, y - s * 1.25, x + s * 0.55, y - s * 0.45), 180, 360, fill=colour)


def worker(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in (-0.35, 0.35):
        person(d, x + k * s, y, s * 0.95, r, shirt="#ff7a00", legs="#26364e")
        d.pieslice(
            (x + k * s - s * 0.17, y - s * 1.08, x + k * s + s * 0.17, y - s * 0.72),
            180,
            360,
            fill=(255, 232, 30),
        )


def harvester(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.5, y - s * 0.7, x + s * 0.4, y - s * 0.2), fill=(204, 34, 26))
    d.rectangle((x - s * 0.05, y - s, x + s * 0.32, y - s * 0.62), fill=(150, 200, 220))
    d.rectangle((x + s * 0.4, y - s * 0.28, x + s * 0.8, y - s * 0.04), fill=(250, 206, 40))
    d.ellipse((x - s * 0.5, y - s * 0.4, x - s * 0.1, y), fill=(20, 20, 20))
    d.ellipse((x + s * 0.08, y - s * 0.34, x + s * 0.4, y), fill=(20, 20, 20))


def grape_pickers(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in (-0.5, 0.5):
        person(d, x + k * s, y, s * 0.85, r, shirt="#e8dcc0")
    d.polygon(
        [(x - s * 0.26, y - s * 0.36), (x + s * 0.26, y - s * 0.36), (x + s * 0.18, y), (x - s * 0.18, y)],
        fill=(150, 100, 50),
    )
    for k in (-0.16, 0.0, 0.16):
        d.ellipse(
            (x + k * s - s * 0.13, y - s * 0.55, x + k * s + s * 0.13, y - s * 0.29), fill=(92, 20, 120)
        )


def rice_planter(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in (-0.5, 0.1, 0.65):
        d.rectangle(
            (x + s * k - s * 0.3, y - s * 0.5, x + s * k + s * 0.05, y - s * 0.28), fill=(40, 70, 140)
        )
        d.rectangle((x + s * k - s * 0.3, y - s * 0.3, x + s * k - s * 0.2, y), fill=(40, 70, 140))
        d.polygon(
            [
                (x + s * (k - 0.16), y - s * 0.46),
                (x + s * (k + 0.06), y - s * 0.78),
                (x + s * (k + 0.3), y - s * 0.46),
            ],
            fill=(240, 214, 130),
        )


def skier(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    shirt = ("#e01040", "#1030d0", "#10a080")[int(r.integers(3))]
    person(d, x, y - s * 0.1, s * 0.85, r, shirt=shirt, legs="#101020")
    d.line([(x - s * 0.5, y + s * 0.02), (x + s * 0.5, y - s * 0.14)], fill=(250, 60, 20), width=3)
    d.line([(x + s * 0.2, y - s * 0.6), (x + s * 0.45, y)], fill=(40, 40, 40), width=1)


def hiker(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    person(d, x, y, s * 0.95, r, shirt="#7a8c3c", legs="#5a4632")
    d.rectangle((x - s * 0.36, y - s * 0.82, x - s * 0.12, y - s * 0.38), fill=(214, 80, 20))
    d.line([(x + s * 0.3, y - s * 0.55), (x + s * 0.38, y)], fill=(90, 60, 30), width=2)


def bather(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.pieslice((x - s * 0.6, y - s * 1.15, x + s * 0.5, y - s * 0.25), 180, 360, fill=(255, 70, 120))
    d.pieslice((x - s * 0.3, y - s * 1.15, x + s * 0.2, y - s * 0.25), 180, 360, fill=(255, 240, 120))
    d.line([(x - s * 0.05, y - s * 0.7), (x - s * 0.05, y)], fill=(240, 240, 240), width=2)
    d.rectangle((x + s * 0.1, y - s * 0.12, x + s * 0.75, y + s * 0.02), fill=(70, 200, 240))
    d.rectangle((x + s * 0.2, y - s * 0.24, x + s * 0.6, y - s * 0.1), fill=(226, 160, 116))


def surfer(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    person(d, x, y - s * 0.12, s * 0.8, r, shirt="#101418", legs="#101418")
    d.ellipse(
        (x + s * 0.18, y - s * 1.1, x + s * 0.44, y + s * 0.05), fill=(255, 255, 90), outline=(230, 60, 60)
    )


def sail(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.polygon(
        [(x - s * 0.42, y - s * 0.18), (x + s * 0.42, y - s * 0.18), (x + s * 0.26, y), (x - s * 0.26, y)],
        fill=(120, 60, 40),
    )
    d.polygon([(x, y - s * 1.2), (x, y - s * 0.22), (x + s * 0.45, y - s * 0.22)], fill=(255, 255, 255))
    d.polygon(
        [(x - s * 0.05, y - s), (x - s * 0.05, y - s * 0.22), (x - s * 0.36, y - s * 0.22)],
        fill=(240, 236, 228),
    )


def fishing_boat(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """A moored boat: the harbour itself."""
    hull = ("#1c4e9c", "#b02a2a", "#208050")[int(r.integers(3))]
    d.polygon(
        [(x - s * 0.6, y - s * 0.32), (x + s * 0.6, y - s * 0.32), (x + s * 0.42, y), (x - s * 0.42, y)],
        fill=hull,
    )
    d.rectangle((x - s * 0.25, y - s * 0.6, x + s * 0.15, y - s * 0.3), fill=(244, 244, 240))
    d.line([(x + s * 0.3, y - s * 0.32), (x + s * 0.3, y - s * 1.1)], fill=(60, 44, 30), width=2)


def fisherman(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    person(d, x - s * 0.2, y, s * 0.9, r, shirt="#f4d000", legs="#f4d000")
    d.line([(x - s * 0.1, y - s * 0.55), (x + s * 0.7, y - s * 1.1)], fill=(40, 26, 16), width=2)
    d.line([(x + s * 0.7, y - s * 1.1), (x + s * 0.72, y - s * 0.1)], fill=(230, 230, 230), width=1)


def geese(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    for k in range(6):
        left, top = x + (k - 3) * s * 0.34, y - abs(k - 2.5) * s * 0.22
        d.line(
            [(left - s * 0.18, top - s * 0.12), (left, top), (left + s * 0.18, top - s * 0.12)],
            fill=(20, 20, 24),
            width=2,
        )


def tent(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.polygon([(x - s * 0.7, y), (x - s * 0.15, y - s * 0.75), (x + s * 0.4, y)], fill=(230, 110, 30))


def camel(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    brown = (150, 98, 44)
    for k in (-0.3, -0.15, 0.15, 0.3):
        d.line([(x + k * s, y), (x + k * s, y - s * 0.5)], fill=brown, width=2)
    d.ellipse((x - s * 0.42, y - s * 0.75, x + s * 0.4, y - s * 0.38), fill=brown)
    d.ellipse((x - s * 0.2, y - s, x + s * 0.12, y - s * 0.55), fill=brown)
    d.line(
        [(x + s * 0.36, y - s * 0.6), (x + s * 0.55, y - s), (x + s * 0.72, y - s * 0.98)],
        fill=brown,
        width=4,
    )


def apple_crate(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.45, y - s * 0.35, x + s * 0.45, y), fill=(160, 112, 60))
    for k in range(5):
        left = x - s * 0.4 + k * s * 0.17
        d.ellipse((left, y - s * 0.55, left + s * 0.2, y - s * 0.32), fill=(214, 20, 30))


def park_bench(d: ImageDraw, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    d.rectangle((x - s * 0.5, y - s * 0.5, x + s * 0.5, y - s * 0.32), fill=(122, 70, 30))
    d.rectangle((x - s * 0.5, y - s * 0.26, x + s * 0.5, y - s * 0.16), fill=(122, 70, 30))
    for k in (-0.4, 0.4):
        d.rectangle((x + k * s - 1, y - s * 0.2, x + k * s + 1, y), fill=(30, 30, 30))


MIDDLE: dict[str, Sprite] = {
    "skyscrapers": skyscraper, "factory": factory, "church": church,
    "red roofs": house, "grey roofs": house, "white houses": house, "thatched houses": house,
}  # fmt: skip
"""Things behind the people, in the order in which they are drawn."""

FRONT: dict[str, Sprite] = {
    "cows": cow, "traffic jam": traffic_jam, "market": stall, "crowd": crowd, "cafe terrace": terrace,
    "festival": lanterns, "children playing": playground, "cyclists": bicycle, "umbrellas": umbrella,
    "workers": worker, "harvest": harvester, "grape pickers": grape_pickers, "rice planting": rice_planter,
    "apples": apple_crate, "skiers": skier, "hikers": hiker, "bathers": bather, "surfers": surfer,
    "fishermen": fisherman, "camp fire": tent, "camels": camel, "park": park_bench,
}  # fmt: skip
"""Things in front, each in a slot of its own."""
