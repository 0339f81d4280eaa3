"""Trees."""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator


def draw_broadleaf(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a broadleaf tree: green, in autumn colours, or bare in winter."""
    leaf = (46, 112, 40)
    if "autumn leaves" in scene.shown:
        leaf = ((214, 110, 24), (196, 54, 30), (226, 164, 34))[int(r.integers(3))]
    elif scene.bare:
        leaf = (112, 94, 80)
    pen.rectangle((x - s * 0.06, y - s * 0.45, x + s * 0.06, y), fill=(84, 60, 40))
    pen.ellipse((x - s * 0.36, y - s, x + s * 0.36, y - s * 0.3), fill=leaf)


def draw_conifer(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a conifer, with snow on its top if the scene is snowy."""
    pen.rectangle((x - s * 0.05, y - s * 0.2, x + s * 0.05, y), fill=(70, 52, 38))
    pen.polygon(
        [(x - s * 0.3, y - s * 0.14), (x, y - s * 1.15), (x + s * 0.3, y - s * 0.14)], fill=(20, 66, 48)
    )
    if scene.snowy:
        pen.polygon(
            [(x - s * 0.12, y - s * 0.7), (x, y - s * 1.15), (x + s * 0.12, y - s * 0.7)],
            fill=(236, 242, 248),
        )


def draw_palm(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a leaning palm tree."""
    lean = float(r.uniform(-0.15, 0.15)) * s
    top = (x + lean, y - s * 0.9)
    pen.line([(x, y), top], fill=(146, 112, 70), width=max(2, round(s * 0.09)))
    for angle in (-2.9, -2.2, -1.57, -0.9, -0.25):
        end = (top[0] + np.cos(angle) * s * 0.42, top[1] + np.sin(angle) * s * 0.24 + s * 0.08)
        pen.line([top, end], fill=(44, 150, 50), width=max(2, round(s * 0.1)))
