"""A small made-up atlas: 3 x 2 chunks of 4 cells a side, cut at the edges, with holes of every kind."""

from dataclasses import replace

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.atlas import AtlasSpec, CellStatus, create_or_resume

SHAPE, DIM = (10, 7), 5


def make_spec(**changes):
    wanted = np.ones(SHAPE, bool)
    wanted[0, :3] = False
    wanted[4:8, 4:] = False  # a whole chunk outside
    spec = AtlasSpec(
        grid=GeoBox(SHAPE, Affine(480, 0, 624_000, 0, -480, 5_808_000), "EPSG:32631"),
        wanted=wanted,
        dim=DIM,
        dtype="int8",
        model={"identity": "weights-1", "source": "https://example.org/model", "card": {"name": "small"}},
        imagery={
            "identity": "pixels-1",
            "uri": "a map.tif",
            "gsd_m": 1.0,
            "attribution": "A",
            "licence": "CC0",
        },
        patch_m=480.0,
        patch_pixels=224,
        chunk=4,
    )
    return replace(spec, **changes)


def cells(chunk, dim=DIM):
    """The embeddings and status of a chunk: always the same for the same chunk."""
    rng = np.random.default_rng([*chunk.index, 7])
    embeddings = rng.normal(size=(*chunk.shape, dim)).astype(np.float32)
    status = np.full(chunk.shape, CellStatus.OK, np.uint8)
    status[0, -1] = CellStatus.IMAGERY_MISSING
    status[-1, 0] = CellStatus.IMAGERY_FAILED
    if chunk.index == (1, 0):
        status[:] = CellStatus.IMAGERY_MISSING  # a whole chunk without an embedding
    embeddings[status != CellStatus.OK] = np.nan
    return embeddings, status


def build(path, spec=None, order=lambda chunks: chunks):
    writer = create_or_resume(path, spec or make_spec())
    for chunk in order(writer.pending()):
        writer.write(chunk, *cells(chunk))
    return writer.finish()


def tree(folder):
    """Every file below a folder, temporary ones included, with its bytes."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def flip(file):
    """Change one bit in the middle of a file."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def remove(file):
    file.unlink()
