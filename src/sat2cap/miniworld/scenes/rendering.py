"""Rendering: a scene as the picture that a camera takes of it."""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageOps
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.planet.cover import SAND_COLOURS, WATER_COLOURS
from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.scenes.sprites.animals import draw_geese
from sat2cap.miniworld.scenes.sprites.by_concept import BACKGROUND_SPRITES, FOREGROUND_SPRITES
from sat2cap.miniworld.scenes.sprites.objects import draw_fishing_boat, draw_sailing_boat
from sat2cap.miniworld.scenes.sprites.trees import draw_broadleaf, draw_conifer, draw_palm

PHOTO_PIXELS = 96
"""Side of every photo, in pixels; all coordinates below are in these pixels."""

Random = np.random.Generator
Colour = tuple[int, int, int]

GROUND_COLOURS: dict[str, Colour] = {
    "glacier": (232, 240, 248), "rocks": (134, 126, 120), "desert": (222, 188, 128),
    "rice paddy": (112, 160, 140), "wheat field": (222, 190, 84), "vineyard": (140, 132, 74),
    "orchard": (112, 146, 66), "marsh": (104, 118, 66), "park": (92, 164, 72), "meadow": (118, 158, 72),
}  # fmt: skip
"""Colour of the ground by concept; the first concept that the scene shows decides."""


def render_photo(scene: Scene, r: Random) -> Image.Image:
    """Return the picture of a scene: RGB, `PHOTO_PIXELS` a side.

    `r` decides the camera: its horizon, where things stand, exposure and grain. The picture is painted from
    far to near; then the light of the hour falls on it, and what shines by itself is drawn over that.

    ::

        +----------------+
        |   sky          |
        |     mountains  |
        |----horizon-----|  row 36 to 49
        | woods, houses  |
        | people, things |
        +----------------+  row 95
    """
    horizon = int(r.integers(36, 50))
    image = _render_sky(scene, horizon, r)
    pen = ImageDraw.Draw(image)
    _draw_mountains(pen, scene, horizon, r)
    _draw_ground(pen, scene, horizon, r)
    _draw_background(pen, scene, horizon, r)
    _draw_foreground(pen, scene, r)
    image = _apply_daylight(image, scene)
    _draw_lights(ImageDraw.Draw(image), scene, horizon, r)
    return _apply_camera(_apply_weather(image, scene), r)


def _render_sky(scene: Scene, horizon: int, r: Random) -> Image.Image:
    """Return a picture of the sky: a gradient by weather and hour, with sun or clouds.

    Below the horizon it has the lowest colour of the sky; the ground is drawn over it.
    """
    top, low = (150, 158, 168), (206, 208, 210)
    if "blue sky" in scene.shown:
        top, low = (44, 116, 214), (158, 204, 244)
    if "sunset" in scene.shown:
        top, low = (96, 70, 140), (255, 140, 50)
    elif scene.day < 0.5:
        top, low = (30, 40, 92), (70, 84, 140)
    fade = np.linspace(0, 1, horizon, dtype=np.float32)[:, None]
    column = np.array(low, np.float32) * np.ones((PHOTO_PIXELS, 1), np.float32)
    column[:horizon] = np.array(top, np.float32) * (1 - fade) + np.array(low, np.float32) * fade
    image = Image.fromarray(column.astype(np.uint8)[:, None, :]).resize((PHOTO_PIXELS, PHOTO_PIXELS))
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


def _draw_mountains(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Draw mountains behind everything, if the scene shows them or what people do on them."""
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


def _draw_ground(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Draw the ground with its waves, shores, crops, banks and roads."""
    shown = scene.shown
    base = next((GROUND_COLOURS[name] for name in GROUND_COLOURS if name in shown), (112, 132, 80))
    base = _mix_colours(base, (190, 168, 104), 0.5 * scene.dryness) if base[1] > base[0] else base
    if scene.paved and "park" not in shown:
        base = (146, 144, 142)
    if "desert" in shown:
        base = _to_colour(SAND_COLOURS[scene.sand])
    if scene.snowy:
        base = (238, 242, 248)
    pen.rectangle((0, horizon, PHOTO_PIXELS, PHOTO_PIXELS), fill=base)
    water = _to_colour(WATER_COLOURS[scene.water])
    if "sea" in shown or "harbour" in shown:
        shore = 78 if "harbour" in shown else 66
        pen.rectangle((0, horizon, PHOTO_PIXELS, shore), fill=water)
        for y in range(horizon + 3, shore, 6):
            x = float(r.uniform(0, 70))
            pen.line([(x, y), (x + 18, y)], fill=_mix_colours(water, (255, 255, 255), 0.5))
    if "beach" in shown:
        pen.polygon(
            [(0, 62), (PHOTO_PIXELS, 68), (PHOTO_PIXELS, PHOTO_PIXELS), (0, PHOTO_PIXELS)],
            fill=_to_colour(SAND_COLOURS[scene.sand]),
        )
        pen.line([(0, 62), (PHOTO_PIXELS, 68)], fill=(250, 250, 250), width=2)
    _draw_crops(pen, scene, horizon)
    if "river" in shown:
        x = float(r.uniform(10, 60))
        pen.polygon(
            [(x + 14, horizon), (x + 22, horizon), (x + 38, PHOTO_PIXELS), (x - 8, PHOTO_PIXELS)], fill=water
        )
    if "highway" in shown or "traffic jam" in shown:
        pen.polygon(
            [(40, horizon), (56, horizon), (PHOTO_PIXELS + 10, PHOTO_PIXELS), (-10, PHOTO_PIXELS)],
            fill=(74, 74, 80),
        )
        pen.line([(48, horizon), (48, PHOTO_PIXELS)], fill=(250, 240, 160), width=2)
    elif "country lane" in shown:
        pen.polygon(
            [(46, horizon), (50, horizon), (64, PHOTO_PIXELS), (34, PHOTO_PIXELS)], fill=(196, 168, 124)
        )


def _draw_crops(pen: Pen, scene: Scene, horizon: int) -> None:
    """Draw crops in rows, flooded paddies, flowers and reeds."""
    shown = scene.shown
    if "vineyard" in shown:
        for y in range(horizon + 4, 88, 10):
            pen.rectangle(
                (0, y, PHOTO_PIXELS, y + 4), fill=(58, 104, 44) if not scene.bare else (110, 84, 60)
            )
    if "rice paddy" in shown:
        for y in range(horizon + 4, PHOTO_PIXELS, 9):
            pen.rectangle((0, y, PHOTO_PIXELS, y + 3), fill=(168, 206, 220))
    if "wheat field" in shown and not scene.snowy:
        for x in range(-40, 136, 11):
            pen.line([(48 + (x - 48) * 0.3, horizon), (x, PHOTO_PIXELS)], fill=(180, 144, 50), width=2)
    if "wild flowers" in shown:
        for k in range(40):
            x, y = (k * 37) % PHOTO_PIXELS, horizon + 6 + (k * 23) % (PHOTO_PIXELS - horizon - 8)
            pen.ellipse((x, y, x + 3, y + 3), fill=((240, 60, 90), (250, 220, 60), (170, 90, 220))[k % 3])
    if "marsh" in shown:
        pen.ellipse((8, 64, 60, 76), fill=(84, 116, 124))
        for k in range(16):
            x = (k * 29) % PHOTO_PIXELS
            pen.line([(x, 88), (x + 2, 60)], fill=(150, 128, 60), width=2)
            pen.rectangle((x, 58, x + 3, 66), fill=(92, 58, 34))


def _draw_background(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Draw cliffs, rocks, woods, buildings, boats and birds, from far to near."""
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
        ("broadleaf forest", draw_broadleaf),
        ("conifer forest", draw_conifer),
        ("palm trees", draw_palm),
        ("orchard", draw_broadleaf),
    )
    for name, tree in woods:
        if name in shown or (name == "broadleaf forest" and "autumn leaves" in shown):
            size = 15 if name == "orchard" else 25
            for k in range(6):
                x = k * 18 + float(r.uniform(-4, 4))
                tree(pen, x, foot + (12 if name == "orchard" else 0), size, scene, r)
                if name == "orchard" and "blossom" in shown:
                    pen.ellipse((x - 8, foot - 5, x + 8, foot + 9), fill=(255, 186, 214))
    for name, sprite in BACKGROUND_SPRITES.items():
        if name in shown:
            count = 1 if name in ("church", "factory") else 3
            start = float(r.uniform(8, 26)) if count > 1 else float(r.uniform(20, 76))
            for k in range(count):
                sprite(pen, start + k * 30 + float(r.uniform(-3, 3)), foot + 6, 22, scene, r)
    if "harbour" in shown:
        for k in range(3):
            draw_fishing_boat(pen, 16 + k * 32 + float(r.uniform(-5, 5)), 70, 22, scene, r)
    if "sailing boats" in shown:
        for k in range(2):
            draw_sailing_boat(pen, 26 + k * 44 + float(r.uniform(-10, 10)), horizon + 12, 22, scene, r)
    if "geese" in shown:
        draw_geese(pen, float(r.uniform(30, 66)), 20, 20, scene, r)


def _draw_foreground(pen: Pen, scene: Scene, r: Random) -> None:
    """Draw people, animals and things side by side in up to three slots; further ones stand behind those."""
    things = [name for name in FOREGROUND_SPRITES if name in scene.shown]
    r.shuffle(things)
    slots = np.array([50.0]) if len(things) == 1 else np.linspace(16, 80, max(2, min(len(things), 3)))
    for k, name in enumerate(things):
        x = float(slots[k % len(slots)]) + float(r.uniform(-5, 5))
        y = 90.0 if k < len(slots) else 74.0
        FOREGROUND_SPRITES[name](pen, x, y, 25 if len(things) < 4 else 20, scene, r)


def _apply_daylight(image: Image.Image, scene: Scene) -> Image.Image:
    """Return the picture in the light of a sunset or in the dark; unchanged by day."""
    if "sunset" in scene.shown:
        return ImageChops.multiply(image, Image.new("RGB", image.size, (255, 196, 160)))
    if scene.day < 0.5:
        return ImageChops.multiply(image, Image.new("RGB", image.size, (82, 92, 140)))
    return image


def _draw_lights(pen: Pen, scene: Scene, horizon: int, r: Random) -> None:
    """Draw what shines by itself: stars, windows, headlights, fire and fireworks."""
    shown = scene.shown
    if "starry sky" in shown:
        for _ in range(34):
            x, y = int(r.integers(0, PHOTO_PIXELS)), int(r.integers(0, horizon - 2))
            pen.rectangle((x, y, x + 1, y + 1), fill=(255, 255, 240))
        pen.ellipse((70, 6, 80, 16), fill=(250, 246, 220))
    if "night lights" in shown:
        for _ in range(30):
            x, y = int(r.integers(2, PHOTO_PIXELS - 3)), int(r.integers(horizon - 12, horizon + 14))
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


def _apply_weather(image: Image.Image, scene: Scene) -> Image.Image:
    """Return the picture in fog, or in the rain that goes with umbrellas."""
    if "fog" in scene.shown:
        image = Image.blend(image, Image.new("RGB", image.size, (214, 218, 222)), 0.58)
    if "umbrellas" in scene.shown:
        pen = ImageDraw.Draw(image)
        for k in range(36):
            x, y = (k * 41) % PHOTO_PIXELS, (k * 67) % PHOTO_PIXELS
            pen.line([(x, y), (x - 2, y + 8)], fill=(190, 204, 224))
    return image


def _apply_camera(image: Image.Image, r: Random) -> Image.Image:
    """Return the picture with exposure, white balance and grain, and mirrored half of the time."""
    gains = (r.uniform(0.9, 1.1) * r.uniform(0.96, 1.04, 3)).astype(np.float32)
    if r.random() >= 0.5:
        image = ImageOps.mirror(image)
    grain = r.standard_normal((PHOTO_PIXELS, PHOTO_PIXELS), dtype=np.float32) * np.float32(4)
    bands = (np.asarray(band) * gain + grain for band, gain in zip(image.split(), gains, strict=True))
    return Image.merge("RGB", [Image.fromarray(np.clip(band, 0, 255).astype(np.uint8)) for band in bands])


def _mix_colours(a: Colour, b: Colour, share_of_b: float) -> Colour:
    return _to_colour(np.asarray(a) * (1 - share_of_b) + np.asarray(b) * share_of_b)


def _to_colour(colour: np.ndarray) -> Colour:
    return int(colour[0]), int(colour[1]), int(colour[2])
