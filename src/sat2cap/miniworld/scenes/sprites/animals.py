"""Animals."""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator


def draw_cow(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a black and white cow."""
    for k in (-0.32, -0.2, 0.18, 0.3):
        pen.rectangle((x + s * k - 1, y - s * 0.3, x + s * k + 1, y), fill=(60, 50, 46))
    pen.rectangle((x - s * 0.42, y - s * 0.62, x + s * 0.38, y - s * 0.22), fill=(246, 244, 240))
    pen.rectangle((x - s * 0.2, y - s * 0.62, x + s * 0.06, y - s * 0.36), fill=(30, 28, 28))
    pen.rectangle((x + s * 0.34, y - s * 0.76, x + s * 0.6, y - s * 0.48), fill=(30, 28, 28))


def draw_camel(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a camel."""
    brown = (150, 98, 44)
    for k in (-0.3, -0.15, 0.15, 0.3):
        pen.line([(x + k * s, y), (x + k * s, y - s * 0.5)], fill=brown, width=2)
    pen.ellipse((x - s * 0.42, y - s * 0.75, x + s * 0.4, y - s * 0.38), fill=brown)
    pen.ellipse((x - s * 0.2, y - s, x + s * 0.12, y - s * 0.55), fill=brown)
    pen.line(
        [(x + s * 0.36, y - s * 0.6), (x + s * 0.55, y - s), (x + s * 0.72, y - s * 0.98)],
        fill=brown,
        width=4,
    )


def draw_geese(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw six geese flying in a V."""
    for k in range(6):
        left, top = x + (k - 3) * s * 0.34, y - abs(k - 2.5) * s * 0.22
        pen.line(
            [(left - s * 0.18, top - s * 0.12), (left, top), (left + s * 0.18, top - s * 0.12)],
            fill=(20, 20, 24),
            width=2,
        )
