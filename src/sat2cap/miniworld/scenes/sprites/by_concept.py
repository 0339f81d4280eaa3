"""The sprite of each concept, and the signature that all sprites share."""

from collections.abc import Callable

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.scenes.sprites.animals import (
    draw_camel,
    draw_cow,
)
from sat2cap.miniworld.scenes.sprites.buildings import (
    draw_church,
    draw_factory,
    draw_house,
    draw_skyscraper,
)
from sat2cap.miniworld.scenes.sprites.objects import (
    draw_apple_crate,
    draw_festival_stage,
    draw_harvester,
    draw_market_stalls,
    draw_park_bench,
    draw_tent,
    draw_traffic_jam,
)
from sat2cap.miniworld.scenes.sprites.people import (
    draw_bather,
    draw_cafe_terrace,
    draw_crowd,
    draw_cyclist,
    draw_fisherman,
    draw_grape_pickers,
    draw_hiker,
    draw_playground,
    draw_rice_planters,
    draw_skier,
    draw_surfer,
    draw_umbrella,
    draw_workers,
)

Random = np.random.Generator
Sprite = Callable[[Pen, float, float, float, Scene, Random], None]
"""``sprite(pen, x, y, s, scene, r)`` draws a thing about `s` pixels high that stands on the pixel ``(x, y)``.

`scene` gives season and region; `r` gives what makes two things of a kind differ.
"""

BACKGROUND_SPRITES: dict[str, Sprite] = {
    "skyscrapers": draw_skyscraper, "factory": draw_factory, "church": draw_church,
    "red roofs": draw_house, "grey roofs": draw_house, "white houses": draw_house,
    "thatched houses": draw_house,
}  # fmt: skip
"""Buildings, which stand behind people and animals, in the order in which they are drawn."""

FOREGROUND_SPRITES: dict[str, Sprite] = {
    "cows": draw_cow, "traffic jam": draw_traffic_jam, "market": draw_market_stalls, "crowd": draw_crowd,
    "cafe terrace": draw_cafe_terrace, "festival": draw_festival_stage, "children playing": draw_playground,
    "cyclists": draw_cyclist, "umbrellas": draw_umbrella, "workers": draw_workers,
    "harvest": draw_harvester, "grape pickers": draw_grape_pickers, "rice planting": draw_rice_planters,
    "apples": draw_apple_crate, "skiers": draw_skier, "hikers": draw_hiker, "bathers": draw_bather,
    "surfers": draw_surfer, "fishermen": draw_fisherman, "camp fire": draw_tent, "camels": draw_camel,
    "park": draw_park_bench,
}  # fmt: skip
"""People, animals and things in front."""
