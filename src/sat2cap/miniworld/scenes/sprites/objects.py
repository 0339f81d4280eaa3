"""Vehicles, boats and other things that people made."""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.scenes.sprites.people import draw_person

Random = np.random.Generator


def draw_car(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a car."""
    colour = ("#c02828", "#e8e8e8", "#2848a8", "#202020", "#d8b020")[int(r.integers(5))]
    pen.rectangle((x - s * 0.55, y - s * 0.42, x + s * 0.55, y - s * 0.1), fill=colour)
    pen.rectangle((x - s * 0.3, y - s * 0.68, x + s * 0.3, y - s * 0.4), fill=(150, 190, 210))
    for k in (-0.34, 0.34):
        pen.ellipse(
            (x + s * k - s * 0.13, y - s * 0.2, x + s * k + s * 0.13, y + s * 0.06), fill=(16, 16, 16)
        )


def draw_traffic_jam(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw six cars in two rows."""
    for row in (0, 1):
        for k in (-1.25, 0.0, 1.25):
            draw_car(pen, x + k * s * 0.8, y - row * s * 0.62, s * 0.72, scene, r)


def draw_market_stalls(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw two market stalls with striped awnings and fruit."""
    for side in (-0.55, 0.55):
        left = x + side * s - s * 0.5
        pen.rectangle((left + 1, y - s * 0.35, left + s - 1, y), fill=(150, 100, 56))
        for k in range(5):
            fill = ("#e02020", "#ffffff")[k % 2]
            pen.rectangle((left + k * s / 5, y - s * 0.95, left + (k + 1) * s / 5, y - s * 0.66), fill=fill)
        for k, fruit in enumerate(("#f09020", "#60b030", "#d83030")):
            pen.ellipse(
                (left + s * (0.1 + k * 0.28), y - s * 0.5, left + s * (0.3 + k * 0.28), y - s * 0.3),
                fill=fruit,
            )


def draw_festival_stage(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw the stage of a festival with flags and people; fireworks are drawn with the lights."""
    pen.rectangle((x - s * 0.6, y - s * 0.3, x + s * 0.6, y), fill=(96, 40, 110))
    for k in range(6):
        left = x - s * 0.75 + k * s * 0.25
        flag = ("#ff3b6b", "#ffd23b", "#3bd1ff")[k % 3]
        pen.polygon([(left, y - s), (left + s * 0.22, y - s), (left + s * 0.11, y - s * 0.74)], fill=flag)
    for side in (-0.35, 0.0, 0.35):
        draw_person(pen, x + side * s, y - s * 0.28, s * 0.5, r, shirt="#f0e040")


def draw_harvester(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a combine harvester."""
    pen.rectangle((x - s * 0.5, y - s * 0.7, x + s * 0.4, y - s * 0.2), fill=(204, 34, 26))
    pen.rectangle((x - s * 0.05, y - s, x + s * 0.32, y - s * 0.62), fill=(150, 200, 220))
    pen.rectangle((x + s * 0.4, y - s * 0.28, x + s * 0.8, y - s * 0.04), fill=(250, 206, 40))
    pen.ellipse((x - s * 0.5, y - s * 0.4, x - s * 0.1, y), fill=(20, 20, 20))
    pen.ellipse((x + s * 0.08, y - s * 0.34, x + s * 0.4, y), fill=(20, 20, 20))


def draw_sailing_boat(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a boat under sail."""
    pen.polygon(
        [(x - s * 0.42, y - s * 0.18), (x + s * 0.42, y - s * 0.18), (x + s * 0.26, y), (x - s * 0.26, y)],
        fill=(120, 60, 40),
    )
    pen.polygon([(x, y - s * 1.2), (x, y - s * 0.22), (x + s * 0.45, y - s * 0.22)], fill=(255, 255, 255))
    pen.polygon(
        [(x - s * 0.05, y - s), (x - s * 0.05, y - s * 0.22), (x - s * 0.36, y - s * 0.22)],
        fill=(240, 236, 228),
    )


def draw_fishing_boat(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a moored fishing boat, which stands for a harbour."""
    hull = ("#1c4e9c", "#b02a2a", "#208050")[int(r.integers(3))]
    pen.polygon(
        [(x - s * 0.6, y - s * 0.32), (x + s * 0.6, y - s * 0.32), (x + s * 0.42, y), (x - s * 0.42, y)],
        fill=hull,
    )
    pen.rectangle((x - s * 0.25, y - s * 0.6, x + s * 0.15, y - s * 0.3), fill=(244, 244, 240))
    pen.line([(x + s * 0.3, y - s * 0.32), (x + s * 0.3, y - s * 1.1)], fill=(60, 44, 30), width=2)


def draw_tent(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a tent; the camp fire is drawn with the lights."""
    pen.polygon([(x - s * 0.7, y), (x - s * 0.15, y - s * 0.75), (x + s * 0.4, y)], fill=(230, 110, 30))


def draw_apple_crate(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a crate of red apples."""
    pen.rectangle((x - s * 0.45, y - s * 0.35, x + s * 0.45, y), fill=(160, 112, 60))
    for k in range(5):
        left = x - s * 0.4 + k * s * 0.17
        pen.ellipse((left, y - s * 0.55, left + s * 0.2, y - s * 0.32), fill=(214, 20, 30))


def draw_park_bench(pen: Pen, x: float, y: float, s: float, scene: Scene, r: Random) -> None:
    """Draw a bench."""
    pen.rectangle((x - s * 0.5, y - s * 0.5, x + s * 0.5, y - s * 0.32), fill=(122, 70, 30))
    pen.rectangle((x - s * 0.5, y - s * 0.26, x + s * 0.5, y - s * 0.16), fill=(122, 70, 30))
    for k in (-0.4, 0.4):
        pen.rectangle((x + k * s - 1, y - s * 0.2, x + k * s + 1, y), fill=(30, 30, 30))
