"""Land cover of every position, and its colour from above."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.land import Terrain
from sat2cap.miniworld.planet.noise import Floats, Integers, hash_to_unit, linear_ramp


class LandCover(IntEnum):
    """Classes of land cover."""

    DEEP_SEA = 0
    SEA = 1
    BEACH = 2
    CLIFF = 3
    MARSH = 4
    GRASS = 5
    BROADLEAF = 6
    CONIFER = 7
    PALM = 8
    DESERT = 9
    ROCK = 10
    ICE = 11
    WHEAT = 12
    RICE = 13
    VINEYARD = 14
    ORCHARD = 15
    PASTURE = 16
    HOUSES = 17
    DOWNTOWN = 18
    INDUSTRY = 19
    PARK = 20
    HARBOUR = 21
    STREET = 22
    HIGHWAY = 23
    RIVER = 24
    LANE = 25


LandCovers = NDArray[np.uint8]


def classify_land_cover(terrain: Terrain, seed: int) -> LandCovers:
    """Return the `LandCover` of every position of `terrain`: uint8, same shape.

    Classes are laid over each other from the general to the particular: wild land, farms, marshes,
    settlements, coasts, roads, rivers, and the sea last. The fields it needs are all of `FIELDS` but the
    colours.
    """
    elevation, urban, temperature = terrain["elevation"], terrain["urban"], terrain["temperature"]
    cover = _wild_cover(terrain)
    parcel, edge_m = _parcels(terrain, seed)
    field = (terrain["farm"] > 0.5) & (terrain["forest"] < 0.75)
    cover[field] = _crop_cover(terrain, parcel)[field]
    low = (terrain["relief"] < 0.12) & (elevation < 0.2) & (temperature > -4)
    wet = (terrain["moisture"] > 0.36) & (np.abs(terrain["river"]) < 0.03)
    cover[wet & low] = LandCover.MARSH
    settled = urban > 0.13
    cover[settled] = _settlement_cover(terrain, parcel, edge_m)[settled]
    coast = (elevation < 0.006) & (urban < 0.5)
    cover[coast] = LandCover.BEACH
    cover[coast & (_square_hash(terrain, 3_000.0, seed + 61) < 0.22)] = LandCover.CLIFF
    cover[(elevation < 0.012) & (elevation >= 0.003) & (urban >= 0.16)] = LandCover.HARBOUR
    lane = (np.abs(terrain["lane"]) < 0.005) & (terrain["relief"] < 0.6) & (temperature > -4)
    cover[lane & (urban < 0.3) & (elevation > 0.006)] = LandCover.LANE
    highway = (np.abs(terrain["highway"]) < 0.0016) & (terrain["relief"] < 0.7)
    cover[highway & (elevation > 0.008)] = LandCover.HIGHWAY
    river = (np.abs(terrain["river"]) < 0.0045) & (terrain["relief"] < 0.8) & ~highway
    cover[river] = LandCover.RIVER
    cover[elevation < 0.0015] = LandCover.SEA
    harbour_basin = (elevation < 0.0015) & (elevation > -0.006) & (urban > 0.2)
    cover[harbour_basin] = LandCover.HARBOUR
    cover[elevation < -0.03] = LandCover.DEEP_SEA
    return cover


def _wild_cover(terrain: Terrain) -> LandCovers:
    """Return the cover where nobody lives or farms."""
    temperature, moisture = terrain["temperature"], terrain["moisture"]
    cover = np.full(temperature.shape, LandCover.GRASS, np.uint8)
    cover[(moisture < 0.16) & (temperature > 8)] = LandCover.DESERT
    forest = terrain["forest"] > 0.5
    cover[forest] = LandCover.BROADLEAF
    cover[forest & (temperature < 6.5)] = LandCover.CONIFER
    cover[forest & (temperature > 19)] = LandCover.PALM
    cover[(terrain["relief"] > 0.55) & (terrain["forest"] < 0.8)] = LandCover.ROCK
    cover[temperature < -7.5] = LandCover.ICE
    return cover


def _crop_cover(terrain: Terrain, parcel: Floats) -> LandCovers:
    """Return the crop that the climate allows, one per parcel; neighbouring farms favour the same one."""
    temperature, moisture = terrain["temperature"], terrain["moisture"]
    choice = parcel * 0.75 + 0.25 * terrain["roof"]
    cover = np.full(choice.shape, LandCover.PASTURE, np.uint8)
    cover[choice < 0.52] = LandCover.WHEAT
    mild = (temperature > 8) & (temperature < 18)
    cover[mild & (choice > 0.3) & (choice < 0.52)] = LandCover.ORCHARD
    cover[mild & (moisture < 0.55) & (choice > 0.52) & (choice < 0.75)] = LandCover.VINEYARD
    cover[(temperature > 16) & (moisture > 0.3) & (choice < 0.5)] = LandCover.RICE
    return cover


def _settlement_cover(terrain: Terrain, parcel: Floats, edge_m: Floats) -> LandCovers:
    """Return the cover in settlements: streets along parcels; houses, towers, parks or factories on them."""
    urban = terrain["urban"]
    cover = np.full(urban.shape, LandCover.HOUSES, np.uint8)
    cover[urban > 0.78] = LandCover.DOWNTOWN
    cover[(urban > 0.28) & (parcel > 0.88)] = LandCover.PARK
    cover[(terrain["industry"] > 0.5) & (urban < 0.75)] = LandCover.INDUSTRY
    cover[(edge_m < np.where(urban > 0.6, 14.0, 8.0)) & (urban > 0.2)] = LandCover.STREET
    return cover


def _parcels(terrain: Terrain, seed: int) -> tuple[Floats, Floats]:
    """Return a number in [0, 1) for the parcel of land of each position, and the metres to the parcel's edge.

    Parcels are rectangles in rows that are shifted against each other like bricks. The fields ``warp_x`` and
    ``warp_y`` bend the rows, so that their direction drifts over the land.

    ::

        +-----+-----+-----+
        |     |     |     |    190 m
        +--+--+--+--+--+--+
           |     |     |       each row is shifted by a hash of its number
        +--+--+--+--+--+--+
            250 m
    """
    u, v = terrain.x + terrain["warp_x"], terrain.y + terrain["warp_y"]
    height_m, width_m = 190.0, 250.0
    row = np.floor(v / height_m).astype(np.int64)
    shift_m = hash_to_unit(row, row, seed + 51) * width_m
    column = np.floor((u + shift_m) / width_m).astype(np.int64)
    across, along = v - row * height_m, u + shift_m - column * width_m
    edge_m = np.minimum(np.minimum(across, height_m - across), np.minimum(along, width_m - along))
    return hash_to_unit(column, row, seed + 52), edge_m.astype(np.float32)


def _square_hash(terrain: Terrain, side_m: float, seed: int) -> Floats:
    """Return a number in [0, 1) for the square of `side_m` in which each position lies."""
    return hash_to_unit(*_square_indices(terrain, side_m), seed)


def _square_indices(terrain: Terrain, side_m: float) -> tuple[Integers, Integers]:
    """Return column and row of the square of `side_m` in which each position lies."""
    return np.floor(terrain.x / side_m).astype(np.int64), np.floor(terrain.y / side_m).astype(np.int64)


COVER_COLOURS = np.array(
    [
        (18, 44, 84), (34, 82, 122), (224, 206, 160), (122, 112, 104), (86, 108, 72),  # sea, coast, marsh
        (124, 150, 74), (58, 104, 44), (30, 70, 48), (64, 142, 52),  # grass and trees
        (214, 180, 122), (134, 126, 120), (240, 245, 250),  # desert, rock, ice
        (208, 184, 92), (112, 168, 128), (118, 116, 62), (96, 130, 58), (146, 176, 92),  # crops
        (118, 128, 96), (128, 128, 134), (176, 178, 184), (88, 158, 70), (104, 116, 128),  # settlement
        (142, 142, 140), (92, 92, 96), (44, 92, 118), (184, 168, 136),  # street, highway, river, lane
    ],
    np.float32,
)  # fmt: skip
"""Colour of each `LandCover` from above: RGB from 0 to 255, float32 ``[26, 3]``."""

COVER_GRAIN = np.array(
    [2, 3, 5, 16, 14, 7, 16, 14, 18, 6, 14, 3, 6, 6, 10, 14, 6, 18, 26, 12, 10, 14, 8, 10, 3, 8], np.float32
)
"""Largest deviation of a pixel from the colour of its `LandCover`, in steps of 0 to 255, float32 ``[26]``."""

ROOF_COLOURS = np.array([(186, 84, 58), (120, 124, 134), (236, 232, 222), (150, 104, 66)], np.float32)
"""Roof colours by district: terracotta, slate, whitewash, thatch; RGB ``[4, 3]``."""
ROOF_NAMES = ("red", "grey", "white", "brown")

SAND_COLOURS = np.array([(240, 234, 214), (226, 200, 142), (84, 78, 78)], np.float32)
"""Colours of sand by region, RGB ``[3, 3]``."""
SAND_NAMES = ("white", "golden", "black")

WATER_COLOURS = np.array([(52, 150, 160), (30, 84, 130), (98, 92, 66)], np.float32)
"""Colours of water by region, RGB ``[3, 3]``."""
WATER_NAMES = ("turquoise", "blue", "brown")

FINEST_GRAIN_M = 6.0
"""Side of the smallest detail on the ground; pixels that are finer show the same grain."""


def variant_index(value: Floats, count: int) -> Integers:
    """Return which of `count` variants (of roofs, sand or water) a field in [0, 1] stands for."""
    return np.minimum((value * count).astype(np.int64), count - 1)


def render_overhead(terrain: Terrain, seed: int, pixel_m: float) -> NDArray[np.uint8]:
    """Return the terrain's colours from above: uint8 RGB ``[..., 3]``.

    `pixel_m` is the side of a pixel on the ground. The grain is as fine as the pixels, down to
    `FINEST_GRAIN_M`.
    """
    cover = classify_land_cover(terrain, seed)
    colour = np.take(COVER_COLOURS.T, cover, axis=1)
    detail = _square_hash(terrain, 24.0, seed + 72)
    _tint_by_region(colour, cover, terrain)
    _draw_plants(colour, cover, terrain, detail)
    _draw_buildings(colour, cover, terrain, detail)
    grain = _square_hash(terrain, max(pixel_m, FINEST_GRAIN_M), seed + 71)
    colour += (grain - 0.5) * 2 * COVER_GRAIN[cover]
    land = (cover > LandCover.SEA) & (cover != LandCover.RIVER)
    colour *= np.where(land, terrain["shade"], np.float32(1))
    return np.stack([np.clip(channel, 0, 255).astype(np.uint8) for channel in colour], axis=-1)


# The functions below draw on `colour`, float32 ``[3, ...]`` in place: the channels come first, since numpy is
# slow at a last axis of three.


def _paint(colour: Floats, where: NDArray[np.bool_], rgb: tuple[int, int, int]) -> None:
    """Give the pixels of a mask one colour."""
    for channel, value in zip(colour, rgb, strict=True):
        channel[where] = value


def _tint_by_region(colour: Floats, cover: LandCovers, terrain: Terrain) -> None:
    """Give sand, water and grass the colour of their region; water also depends on its depth."""
    sandy = np.isin(cover, (LandCover.BEACH, LandCover.DESERT))
    sand_colour = _pick_colours(SAND_COLOURS, terrain["sand"][sandy])
    colour[:, sandy] = 0.75 * sand_colour + 0.25 * colour[:, sandy]
    wet = np.isin(cover, (LandCover.SEA, LandCover.RIVER))
    shallowness = linear_ramp(terrain["elevation"][wet], -0.05, 0.0)
    colour[:, wet] = _pick_colours(WATER_COLOURS, terrain["water"][wet]) * (0.6 + 0.4 * shallowness)
    grassy = np.isin(cover, (LandCover.GRASS, LandCover.PASTURE))
    dryness = linear_ramp(terrain["moisture"][grassy], 0.45, 0.15)
    straw = np.array([188, 168, 104], np.float32)[:, None]
    colour[:, grassy] = colour[:, grassy] * (1 - 0.5 * dryness) + straw * 0.5 * dryness


def _pick_colours(variants: Floats, value: Floats) -> Floats:
    """Return the colours ``[3, n]`` of the variants ``[k, 3]`` that values ``[n]`` in [0, 1] stand for."""
    colours: Floats = np.take(variants.T, variant_index(value, len(variants)), axis=1)
    return colours


def _draw_plants(colour: Floats, cover: LandCovers, terrain: Terrain, detail: Floats) -> None:
    """Draw rows of vines, dots of fruit trees, tree crowns with shadows, and pools in marshes."""
    vineyard = cover == LandCover.VINEYARD
    between_rows = np.sin((terrain.y[vineyard] + terrain["warp_y"][vineyard]) * (2 * np.pi / 36.0)) > 0
    vineyard[vineyard] = between_rows
    _paint(colour, vineyard, (150, 122, 92))
    dots = ((cover == LandCover.ORCHARD) | (cover == LandCover.PARK)) & (detail > 0.62)
    _paint(colour, dots, (44, 92, 40))
    forest = np.isin(cover, (LandCover.BROADLEAF, LandCover.CONIFER, LandCover.PALM))
    colour[:, forest & (detail < 0.3)] *= 0.72
    pools = (cover == LandCover.MARSH) & (detail > 0.66)
    _paint(colour, pools, (52, 84, 92))


def _draw_buildings(colour: Floats, cover: LandCovers, terrain: Terrain, detail: Floats) -> None:
    """Draw roofs among gardens, towers with shadows, factory halls, and boats in harbours."""
    house = (cover == LandCover.HOUSES) & (detail < 0.25 + 0.5 * terrain["urban"])
    colour[:, house] = _pick_colours(ROOF_COLOURS, terrain["roof"][house])
    tower = (cover == LandCover.DOWNTOWN) & (detail < 0.5)
    colour[:, tower] = np.array([[196], [200], [208]], np.float32) * (0.7 + 0.6 * detail[tower])
    shadow = (cover == LandCover.DOWNTOWN) & (detail > 0.78)
    _paint(colour, shadow, (52, 54, 62))
    hall = (cover == LandCover.INDUSTRY) & (detail < 0.4)
    _paint(colour, hall, (222, 226, 230))
    boat = (cover == LandCover.HARBOUR) & (detail > 0.75)
    _paint(colour, boat, (244, 244, 244))
