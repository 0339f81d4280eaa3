"""The camera: a scene as a picture of `SIZE` pixels a side."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.planet.cover import SANDS, WATERS
from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.scenes.sprites import (
    FRONT,
    MIDDLE,
    broadleaf,
    conifer,
    fishing_boat,
    geese,
    palm,
    sail,
)

SIZE = 96
Random = np.random.Generator
Colour = tuple[int, int, int]

GROUNDS: dict[str, Colour] = {
    "glacier": (232, 240, 248), "rocks": (134, 126, 120), "desert": (222, 188, 128),
    "rice paddy": (112, 160, 140), "wheat field": (222, 190, 84), "vineyard": (140, 132, 74),
    "orchard": (112, 146, 66), "marsh": (104, 118, 66), "park": (92, 164, 72), "meadow": (118, 158, 72),
}  # fmt: skip
"""What lies underfoot, the first that is shown."""


def photograph(scene: Scene, r: Random) -> Image.Image:
    """The picture, RGB; `r` decides the camera: where it points, its horizon, exposure and grain."""
    horizon = int(r.integers(36, 50))
    image = _sky(scene, horizon, r)
    pen = ImageDraw.Draw(image)
    _distance(pen, scene, horizon, r)
    _ground(pen, scene, horizon, r)
    _middle(pen, scene, horizon, r)
    _front(pen, scene, r)
    image = _lit(image, scene)
    _lights(ImageDraw.Draw(image), scene, horizon, r)
    return _exposed(_veiled(image, scene), r)


def _sky(scene: Scene, horizon: int, r: Random) -> Image.Image:
    """Blue, overcast, sunset or dark, as a gradient; the light on the ground comes later."""
    top, low = (
        ((150, 158, 168), (206, 208, 210))
        if "blue sky" not in scene.shown
        else ((44, 116, 214), (158, 204, 244))
    )
    if "sunset" in scene.shown:
        top, low = (96, 70, 140), (255, 140, 50)
    elif scene.day < 0.5:
        top, low = (30, 40, 92), (70, 84, 140)
    fade = np.linspace(0, 1, horizon, dtype=np.float32)[:, None]
    column = np.array(low, np.float32) * np.ones((SIZE, 1), np.float32)
    column[:horizon] = np.array(top, np.float32) * (1 - fade) + np.array(low, np.float32) * fade
    image = Image.fromarray(column.astype(np.uint8)[:, None, :]).resize((SIZE, SIZE))
    pen = ImageDraw.Draw(image)
    x = float(r.uniform(10, 86))
    if "blue sky" in scene.shown:
        pen.ellipse((x - 6, 5, x + 6, 17), fill=(255, 246, 170))
    elif "sunset" in scene.shown:
        pen.ellipse((x - 9, horizon - 14, x + 9, horizon + 4), fill=(255, 226, 110))
    elif scene.day > 0.5:
        for _ in range(3):
            x, y = float(r.uniform(0, 96)), float(r.uniform(4, horizon - 12))
            pen.ellipse((x - 18, y - 5, x + 18, y + 5), fill=(184, 188, 194))
    return image


def _distance(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Mountains behind everything."""
    if "mountains" not in scene.shown and "skiers" not in scene.shown and "hikers" not in scene.shown:
        return
    left = float(r.uniform(-20, 10))
    for k in range(4):
        x, top = left + k * 30, horizon - float(r.uniform(16, 28))
        pen.polygon([(x - 26, horizon), (x, top), (x + 26, horizon)], fill=(112, 112, 126))
        cap = 0.75 if scene.snowy else 0.22
        pen.polygon(
            [
                (x - 26 * cap, top + (horizon - top) * cap),
                (x, top),
                (x + 26 * cap, top + (horizon - top) * cap),
            ],
            fill=(240, 244, 250),
        )


def _ground(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """What lies underfoot, with its rows, waves, banks and roads."""
    shown = scene.shown
    base = next((GROUNDS[name] for name in GROUNDS if name in shown), (112, 132, 80))
    base = _mix(base, (190, 168, 104), 0.5 * scene.dryness) if base[1] > base[0] else base
    if scene.paved and "park" not in shown:
        base = (146, 144, 142)
    if "desert" in shown:
        base = _whole(SANDS[scene.sand])
    if scene.snowy:
        base = (238, 242, 248)
    pen.rectangle((0, horizon, SIZE, SIZE), fill=base)
    water = _whole(WATERS[scene.water])
    if "sea" in shown or "harbour" in shown:
        shore = 78 if "harbour" in shown else 66
        pen.rectangle((0, horizon, SIZE, shore), fill=water)
        for y in range(horizon + 3, shore, 6):
            x = float(r.uniform(0, 70))
            pen.line([(x, y), (x + 18, y)], fill=_mix(water, (255, 255, 255), 0.5))
    if "beach" in shown:
        pen.polygon([(0, 62), (SIZE, 68), (SIZE, SIZE), (0, SIZE)], fill=_whole(SANDS[scene.sand]))
        pen.line([(0, 62), (SIZE, 68)], fill=(250, 250, 250), width=2)
    _rows(pen, scene, horizon)
    if "river" in shown:
        x = float(r.uniform(10, 60))
        pen.polygon([(x + 14, horizon), (x + 22, horizon), (x + 38, SIZE), (x - 8, SIZE)], fill=water)
    if "highway" in shown or "traffic jam" in shown:
        pen.polygon([(40, horizon), (56, horizon), (SIZE + 10, SIZE), (-10, SIZE)], fill=(74, 74, 80))
        pen.line([(48, horizon), (48, SIZE)], fill=(250, 240, 160), width=2)
    elif "country lane" in shown:
        pen.polygon([(46, horizon), (50, horizon), (64, SIZE), (34, SIZE)], fill=(196, 168, 124))


def _rows(pen: Pen, scene: Scene, horizon: int) -> None:
    """Crops in rows, flooded paddies, flowers and reeds."""
    shown = scene.shown
    if "vineyard" in shown:
        for y in range(horizon + 4, 88, 10):
            pen.rectangle((0, y, SIZE, y + 4), fill=(58, 104, 44) if not scene.bare else (110, 84, 60))
    if "rice paddy" in shown:
        for y in range(horizon + 4, SIZE, 9):
            pen.rectangle((0, y, SIZE, y + 3), fill=(168, 206, 220))
    if "wheat field" in shown and not scene.snowy:
        for x in range(-40, 136, 11):
            pen.line([(48 + (x - 48) * 0.3, horizon), (x, SIZE)], fill=(180, 144, 50), width=2)
    if "wild flowers" in shown:
        for k in range(40):
            x, y = (k * 37) % SIZE, horizon + 6 + (k * 23) % (SIZE - horizon - 8)
            pen.ellipse((x, y, x + 3, y + 3), fill=((240, 60, 90), (250, 220, 60), (170, 90, 220))[k % 3])
    if "marsh" in shown:
        pen.ellipse((8, 64, 60, 76), fill=(84, 116, 124))
        for k in range(16):
            x = (k * 29) % SIZE
            pen.line([(x, 88), (x + 2, 60)], fill=(150, 128, 60), width=2)
            pen.rectangle((x, 58, x + 3, 66), fill=(92, 58, 34))


def _middle(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Cliffs, woods, buildings and boats, from far to near."""
    shown, foot = scene.shown, horizon + 8
    if "cliffs" in shown:
        side = int(r.integers(2)) * 60
        pen.polygon(
            [(side - 8, 70), (side, horizon - 20), (side + 34, horizon - 16), (side + 44, 70)],
            fill=(122, 104, 92),
        )
    if "rocks" in shown or "glacier" in shown:
        tone = (96, 92, 92) if "rocks" in shown else (150, 200, 236)
        for _ in range(5):
            x, y = float(r.uniform(0, 96)), float(r.uniform(horizon + 8, 82))
            pen.polygon([(x - 10, y), (x - 3, y - 11), (x + 6, y - 8), (x + 11, y)], fill=tone)
    woods = (
        ("broadleaf forest", broadleaf),
        ("conifer forest", conifer),
        ("palm trees", palm),
        ("orchard", broadleaf),
    )
    for name, tree in woods:
        if name in shown or (name == "broadleaf forest" and "autumn leaves" in shown):
            size = 15 if name == "orchard" else 25
            for k in range(6):
                x = k * 18 + float(r.uniform(-4, 4))
                tree(pen, x, foot + (12 if name == "orchard" else 0), size, scene, r)
                if name == "orchard" and "blossom" in shown:
                    pen.ellipse((x - 8, foot - 5, x + 8, foot + 9), fill=(255, 186, 214))
    for name, sprite in MIDDLE.items():
        if name in shown:
            several = 1 if name in ("church", "factory") else 3
            start = float(r.uniform(8, 26)) if several > 1 else float(r.uniform(20, 76))
            for k in range(several):
                sprite(pen, start + k * 30 + float(r.uniform(-3, 3)), foot + 6, 22, scene, r)
    if "harbour" in shown:
        for k in range(3):
            fishing_boat(pen, 16 + k * 32 + float(r.uniform(-5, 5)), 70, 22, scene, r)
    if "sailing boats" in shown:
        for k in range(2):
            sail(pen, 26 + k * 44 + float(r.uniform(-10, 10)), horizon + 12, 22, scene, r)
    if "geese" in shown:
        geese(pen, float(r.uniform(30, 66)), 20, 20, scene, r)


def _front(pen: Pen, scene: Scene, r: Random) -> None:
    """People and animals, each in a slot of its own while there are slots."""
    things = [name for name in FRONT if name in scene.shown]
    r.shuffle(things)
    slots = np.array([50.0]) if len(things) == 1 else np.linspace(16, 80, max(2, min(len(things), 3)))
    for k, name in enumerate(things):
        x = float(slots[k % len(slots)]) + float(r.uniform(-5, 5))
        y = 90.0 if k < len(slots) else 74.0
        FRONT[name](pen, x, y, 25 if len(things) < 4 else 20, scene, r)


def _lit(image: Image.Image, scene: Scene) -> Image.Image:
    """Darkness and evening light."""
    if "sunset" in scene.shown:
        return ImageChops.multiply(image, Image.new("RGB", image.size, (255, 196, 160)))
    if scene.day < 0.5:
        return ImageChops.multiply(image, Image.new("RGB", image.size, (82, 92, 140)))
    return image


def _lights(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """What shines by itself: stars, windows, headlights, fire and fireworks."""
    shown = scene.shown
    if "starry sky" in shown:
        for _ in range(34):
            x, y = int(r.integers(0, SIZE)), int(r.integers(0, horizon - 2))
            pen.rectangle((x, y, x + 1, y + 1), fill=(255, 255, 240))
        pen.ellipse((70, 6, 80, 16), fill=(250, 246, 220))
    if "night lights" in shown:
        for _ in range(30):
            x, y = int(r.integers(2, SIZE - 3)), int(r.integers(horizon - 12, horizon + 14))
            pen.rectangle((x, y, x + 2, y + 3), fill=(255, 214, 90))
    if "traffic jam" in shown and scene.day < 0.5:
        for k in range(6):
            pen.ellipse((12 + k * 13, 78, 17 + k * 13, 83), fill=(255, 60, 40) if k % 2 else (255, 250, 200))
    if "camp fire" in shown:
        pen.polygon([(42, 92), (48, 68), (54, 92)], fill=(255, 120, 20))
        pen.polygon([(45, 92), (48, 78), (51, 92)], fill=(255, 236, 120))
    if "festival" in shown:
        for k in range(3):
            left, top = 18 + k * 30 + float(r.uniform(-6, 6)), float(r.uniform(8, 22))
            for angle in np.linspace(0, 2 * np.pi, 9)[:-1]:
                end = (left + 11 * np.cos(angle), top + 11 * np.sin(angle))
                pen.line(
                    [(left, top), end], fill=((255, 80, 160), (255, 230, 80), (90, 230, 255))[k], width=2
                )


def _veiled(image: Image.Image, scene: Scene) -> Image.Image:
    """Fog, and the rain that goes with umbrellas."""
    if "fog" in scene.shown:
        image = Image.blend(image, Image.new("RGB", image.size, (214, 218, 222)), 0.58)
    if "umbrellas" in scene.shown:
        pen = ImageDraw.Draw(image)
        for k in range(36):
            x, y = (k * 41) % SIZE, (k * 67) % SIZE
            pen.line([(x, y), (x - 2, y + 8)], fill=(190, 204, 224))
    return image


def _exposed(image: Image.Image, r: Random) -> Image.Image:
    """Exposure, white balance, a mirrored half of the time, and grain."""
    pixels = np.asarray(image, np.float32) * (r.uniform(0.9, 1.1) * r.uniform(0.96, 1.04, 3)).astype(
        np.float32
    )
    pixels = pixels[:, :: 1 if r.random() < 0.5 else -1]
    pixels = pixels + r.standard_normal((SIZE, SIZE, 1), dtype=np.float32) * np.float32(4)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return _whole(np.asarray(a) * (1 - share) + np.asarray(b) * share)


def _whole(colour: np.ndarray) -> Colour:
    return int(colour[0]), int(colour[1]), int(colour[2])
