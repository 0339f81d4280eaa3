"""What covers the ground at every position, and what colour it is from above."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.land import Ground
from sat2cap.miniworld.planet.noise import Floats, Integers, hash01, ramp


class Cover(IntEnum):
    """Land cover kinds."""

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


Covers = NDArray[np.uint8]


def cover(g: Ground, seed: int) -> Covers:
    """Land cover of every position of `g`, same shape."""
    elevation, urban, temperature = g["elevation"], g["urban"], g["temperature"]
    out = _wild(g)
    parcel, edge = _parcels(g, seed)
    crop = _crop(g, parcel)
    out = np.where((g["farm"] > 0.5) & (g["forest"] < 0.75), crop, out)
    low = (g["relief"] < 0.12) & (elevation < 0.2) & (temperature > -4)
    out = np.where((g["moisture"] > 0.36) & (np.abs(g["river"]) < 0.03) & low, Cover.MARSH, out)
    out = np.where((urban > 0.13), _built(g, parcel, edge), out)
    coast = np.where(_share(g, 3_000.0, seed + 61) < 0.22, Cover.CLIFF, Cover.BEACH)
    out = np.where((elevation < 0.006) & (urban < 0.5), coast, out)
    out = np.where((elevation < 0.012) & (elevation >= 0.003) & (urban >= 0.16), Cover.HARBOUR, out)
    lane = (np.abs(g["lane"]) < 0.005) & (g["relief"] < 0.6) & (temperature > -4)
    out = np.where(lane & (urban < 0.3) & (elevation > 0.006), Cover.LANE, out)
    highway = (np.abs(g["highway"]) < 0.0016) & (g["relief"] < 0.7)
    out = np.where(highway & (elevation > 0.008), Cover.HIGHWAY, out)
    out = np.where((np.abs(g["river"]) < 0.0045) & (g["relief"] < 0.8) & ~highway, Cover.RIVER, out)
    out = np.where(elevation < 0.0015, Cover.SEA, out)
    out = np.where((elevation < 0.0015) & (elevation > -0.006) & (urban > 0.2), Cover.HARBOUR, out)
    return np.where(elevation < -0.03, Cover.DEEP_SEA, out).astype(np.uint8)


def _wild(g: Ground) -> NDArray[np.int64]:
    """Cover where nobody lives or farms."""
    temperature, moisture = g["temperature"], g["moisture"]
    out = np.full(temperature.shape, int(Cover.GRASS))
    out = np.where((moisture < 0.16) & (temperature > 8), Cover.DESERT, out)
    tree = np.where(temperature > 19, Cover.PALM, np.where(temperature < 6.5, Cover.CONIFER, Cover.BROADLEAF))
    out = np.where(g["forest"] > 0.5, tree, out)
    out = np.where((g["relief"] > 0.55) & (g["forest"] < 0.8), Cover.ROCK, out)
    return np.where(temperature < -7.5, Cover.ICE, out)


def _crop(g: Ground, parcel: Floats) -> NDArray[np.int64]:
    """Crops by climate, one kind a parcel; neighbouring farms favour the same kind."""
    temperature, moisture = g["temperature"], g["moisture"]
    choice = parcel * 0.75 + 0.25 * g["roof"]
    out = np.where(choice < 0.52, Cover.WHEAT, Cover.PASTURE).astype(np.int64)
    mild = (temperature > 8) & (temperature < 18)
    out = np.where(mild & (choice > 0.3) & (choice < 0.52), Cover.ORCHARD, out)
    out = np.where(mild & (moisture < 0.55) & (choice > 0.52) & (choice < 0.75), Cover.VINEYARD, out)
    return np.where((temperature > 16) & (moisture > 0.3) & (choice < 0.5), Cover.RICE, out)


def _built(g: Ground, parcel: Floats, edge: Floats) -> NDArray[np.int64]:
    """Cover inside settlements: streets between parcels; downtown, houses, parks or factories on them."""
    urban = g["urban"]
    out = np.where(urban > 0.78, Cover.DOWNTOWN, Cover.HOUSES).astype(np.int64)
    out = np.where((urban > 0.28) & (parcel > 0.88), Cover.PARK, out)
    out = np.where((g["industry"] > 0.5) & (urban < 0.75), Cover.INDUSTRY, out)
    return np.where((edge < np.where(urban > 0.6, 14.0, 8.0)) & (urban > 0.2), Cover.STREET, out)


def _parcels(g: Ground, seed: int) -> tuple[Floats, Floats]:
    """A number in [0, 1) for the parcel each position lies in, and metres to its edge.

    Parcels are rows of rectangles, shifted like bricks and bent by the slow warp, so their direction drifts.
    """
    u, v = g.x + g["warp_x"], g.y + g["warp_y"]
    height, width = 190.0, 250.0
    row = np.floor(v / height).astype(np.int64)
    shift = hash01(row, row, seed + 51) * width
    column = np.floor((u + shift) / width).astype(np.int64)
    across, along = v - row * height, u + shift - column * width
    edge = np.minimum(np.minimum(across, height - across), np.minimum(along, width - along))
    return hash01(column, row, seed + 52), edge.astype(np.float32)


def _share(g: Ground, cell_m: float, seed: int) -> Floats:
    """A number in [0, 1) for the square of `cell_m` each position lies in."""
    return hash01(np.floor(g.x / cell_m).astype(np.int64), np.floor(g.y / cell_m).astype(np.int64), seed)


PALETTE = np.array(
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
"""Colour of each `Cover` from above, uint8 RGB as float32 ``[26, 3]``."""

GRAIN = np.array(
    [2, 3, 5, 16, 14, 7, 16, 14, 18, 6, 14, 3, 6, 6, 10, 14, 6, 18, 26, 12, 10, 14, 8, 10, 3, 8], np.float32
)
"""How much neighbouring pixels of each `Cover` differ, in uint8 steps."""

ROOFS = np.array([(186, 84, 58), (120, 124, 134), (236, 232, 222), (150, 104, 66)], np.float32)
"""Roof colours by district: terracotta, slate, whitewashed, thatch."""
ROOF_NAMES = ("red", "grey", "white", "brown")

SANDS = np.array([(240, 234, 214), (226, 200, 142), (84, 78, 78)], np.float32)
SAND_NAMES = ("white", "golden", "black")

WATERS = np.array([(52, 150, 160), (30, 84, 130), (98, 92, 66)], np.float32)
WATER_NAMES = ("turquoise", "blue", "brown")


def variant(value: Floats, kinds: int) -> Integers:
    """Which of `kinds` a slow field in [0, 1] picks."""
    return np.minimum((value * kinds).astype(np.int64), kinds - 1)


def overhead_rgb(g: Ground, seed: int, pixel_m: float) -> NDArray[np.uint8]:
    """Colours from above ``[..., 3]``; `pixel_m` is a pixel's size on the ground: no detail is finer."""
    kind = cover(g, seed)
    colour = PALETTE[kind]
    grain = hash01(*_cells(g, max(pixel_m, 6.0)), seed + 71)
    detail = hash01(*_cells(g, 24.0), seed + 72)
    colour = _tinted(colour, kind, g)
    colour = _planted(colour, kind, g, detail)
    colour = _roofed(colour, kind, g, detail)
    colour = colour + ((grain - 0.5) * 2 * GRAIN[kind])[..., None]
    land = (kind > Cover.SEA) & (kind != Cover.RIVER)
    colour = colour * np.where(land, g["shade"], 1.0)[..., None]
    return np.clip(colour, 0, 255).astype(np.uint8)


def _cells(g: Ground, cell_m: float) -> tuple[Integers, Integers]:
    return np.floor(g.x / cell_m).astype(np.int64), np.floor(g.y / cell_m).astype(np.int64)


def _tinted(colour: Floats, kind: Covers, g: Ground) -> Floats:
    """Sand, water and grass take the colour of their region, water also of its depth."""
    sandy = np.isin(kind, (Cover.BEACH, Cover.DESERT))
    colour = np.where(sandy[..., None], 0.75 * SANDS[variant(g["sand"], 3)] + 0.25 * colour, colour)
    wet = np.isin(kind, (Cover.SEA, Cover.RIVER))
    depth = ramp(g["elevation"], -0.05, 0.0)[..., None]
    colour = np.where(wet[..., None], WATERS[variant(g["water"], 3)] * (0.6 + 0.4 * depth), colour)
    dry = ramp(g["moisture"], 0.45, 0.15)[..., None]
    grassy = np.isin(kind, (Cover.GRASS, Cover.PASTURE))[..., None]
    return np.where(
        grassy, colour * (1 - 0.5 * dry) + np.array([188, 168, 104], np.float32) * 0.5 * dry, colour
    )


def _planted(colour: Floats, kind: Covers, g: Ground, detail: Floats) -> Floats:
    """Rows of vines, dots of fruit trees, crowns with shadows, marsh pools."""
    rows = np.sin((g.y + g["warp_y"]) * (2 * np.pi / 36.0)) > 0
    colour = np.where(
        ((kind == Cover.VINEYARD) & rows)[..., None], np.array([150, 122, 92], np.float32), colour
    )
    dots = ((kind == Cover.ORCHARD) | (kind == Cover.PARK)) & (detail > 0.62)
    colour = np.where(dots[..., None], np.array([44, 92, 40], np.float32), colour)
    crowns = np.isin(kind, (Cover.BROADLEAF, Cover.CONIFER, Cover.PALM)) & (detail < 0.3)
    colour = np.where(crowns[..., None], colour * 0.72, colour)
    pools = (kind == Cover.MARSH) & (detail > 0.66)
    return np.where(pools[..., None], np.array([52, 84, 92], np.float32), colour)


def _roofed(colour: Floats, kind: Covers, g: Ground, detail: Floats) -> Floats:
    """Roofs among gardens, towers with shadows, factory halls, boats."""
    roof = ROOFS[variant(g["roof"], 4)]
    housed = (kind == Cover.HOUSES) & (detail < 0.25 + 0.5 * g["urban"])
    colour = np.where(housed[..., None], roof, colour)
    tower = (kind == Cover.DOWNTOWN) & (detail < 0.5)
    colour = np.where(
        tower[..., None], np.array([196, 200, 208], np.float32) * (0.7 + 0.6 * detail[..., None]), colour
    )
    shadow = (kind == Cover.DOWNTOWN) & (detail > 0.78)
    colour = np.where(shadow[..., None], np.array([52, 54, 62], np.float32), colour)
    hall = (kind == Cover.INDUSTRY) & (detail < 0.4)
    colour = np.where(hall[..., None], np.array([222, 226, 230], np.float32), colour)
    boat = (kind == Cover.HARBOUR) & (detail > 0.75)
    return np.where(boat[..., None], np.array([244, 244, 244], np.float32), colour)
