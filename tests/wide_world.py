"""Wide atlases of known numbers: the embedding of a cell is a smooth function of its place."""

from pathlib import Path

import numpy as np

from sat2cap.atlas import create_or_resume, open_atlas, write_wide_manifest
from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.atlas.wide import WideAtlas
from sat2cap.geo import cell_grid, cell_lonlat, cell_mask, parse_region, split_by_utm_zone

IMAGERY = {"identity": "pixels", "uri": "made.tif", "attribution": "Nobody", "licence": "CC0-1.0"}


def vectors(lon, lat, dim):
    """Unit vectors [..., D] that turn slowly with the place; continuous at the antimeridian."""
    phase = np.arange(dim)[:, None]
    east = np.stack([np.sin(np.radians(lon.ravel() * turns)) for turns in (20, 33)])
    waves = np.sin(phase + 3 * east[0] + 0.2 * phase * lat.ravel()) + np.cos(2 * phase + 2 * east[1])
    return np.moveaxis((waves / np.linalg.norm(waves, axis=0)).reshape(dim, *lon.shape), 0, -1)


def make_wide_atlas(path: Path, checkpoint, region: str, cell_m: float = 2000.0) -> WideAtlas:
    """A wide atlas of all cells of a region; nothing is embedded by a network."""
    model = {"identity": "net", "source": "made", "place_identity": checkpoint.place_identity}
    model["card"] = checkpoint.card
    specs = {}
    for zone, part in split_by_utm_zone(parse_region(region)).items():
        grid = cell_grid(part, cell_m, zone.crs, origin_cells=32)
        specs[zone] = AtlasSpec(
            grid=grid, wanted=cell_mask(grid, part), dim=checkpoint.dim, dtype="float16", model=model,
            imagery=IMAGERY, patch_m=cell_m, patch_pixels=8,
        )  # fmt: skip
        writer = create_or_resume(path / zone.name, specs[zone])
        values = vectors(*cell_lonlat(grid), checkpoint.dim).astype(np.float32)
        values[~specs[zone].wanted] = np.nan
        status = np.where(specs[zone].wanted, CellStatus.OK, CellStatus.NONE).astype(np.uint8)
        for chunk in writer.pending():
            writer.write(chunk, values[chunk.rows, chunk.cols], status[chunk.rows, chunk.cols])
        writer.finish()
    write_wide_manifest(path, specs)
    return open_atlas(path)
