"""Buildings."""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.planet.cover import ROOF_COLOURS
from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator


def draw_house(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a house with the roof of its region; whitewashed houses have flat roofs."""
    roof = tuple(int(v) for v in ROOF_COLOURS[scene.roof])
    wall = ((232, 214, 186), (214, 206, 200), (250, 250, 248), (206, 178, 140))[scene.roof]
    pen.rectangle((x - s * 0.45, y - s * 0.55, x + s * 0.45, y), fill=wall)
    if scene.roof == 2:  # flat and whitewashed
        pen.rectangle((x - s * 0.48, y - s * 0.65, x + s * 0.48, y - s * 0.5), fill=(252, 252, 252))
        pen.rectangle((x - s * 0.1, y - s * 0.3, x + s * 0.1, y), fill=(40, 100, 190))
    else:
        pen.polygon(
            [(x - s * 0.56, y - s * 0.52), (x, y - s * 1.02), (x + s * 0.56, y - s * 0.52)], fill=roof
        )
        pen.rectangle((x - s * 0.08, y - s * 0.3, x + s * 0.08, y), fill=(96, 66, 44))


def draw_skyscraper(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a tower with a line for every floor."""
    tone = int(r.integers(120, 190))
    width, height = s * float(r.uniform(0.28, 0.4)), s * float(r.uniform(1.5, 2.3))
    pen.rectangle((x - width, y - height, x + width, y), fill=(tone - 30, tone - 14, tone + 8))
    for floor in np.arange(y - height + 3, y - 2, 4):
        pen.line([(x - width + 1, floor), (x + width - 1, floor)], fill=(tone + 40, tone + 48, tone + 56))


def draw_factory(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a factory with a saw-tooth roof and two smoking chimneys."""
    pen.rectangle((x - s * 0.75, y - s * 0.5, x + s * 0.55, y), fill=(150, 112, 98))
    for k in range(3):
        left = x - s * 0.75 + k * s * 0.43
        pen.polygon(
            [(left, y - s * 0.5), (left + s * 0.43, y - s * 0.74), (left + s * 0.43, y - s * 0.5)],
            fill=(188, 194, 200),
        )
    for c in (0.62, 0.84):
        pen.rectangle((x + s * (c - 0.08), y - s * 1.4, x + s * (c + 0.04), y), fill=(118, 84, 76))
        pen.ellipse((x + s * (c - 0.2), y - s * 1.75, x + s * (c + 0.25), y - s * 1.38), fill=(206, 206, 206))


def draw_church(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a church with a steeple."""
    pen.rectangle((x - s * 0.1, y - s * 0.5, x + s * 0.6, y), fill=(226, 220, 206))
    pen.rectangle((x - s * 0.32, y - s * 0.95, x - s * 0.04, y), fill=(236, 230, 216))
    pen.polygon(
        [(x - s * 0.38, y - s * 0.93), (x - s * 0.18, y - s * 1.7), (x + s * 0.02, y - s * 0.93)],
        fill=(64, 74, 92),
    )
    pen.line([(x - s * 0.18, y - s * 1.95), (x - s * 0.18, y - s * 1.68)], fill=(230, 190, 60), width=2)
