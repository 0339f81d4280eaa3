"""A checkpoint with texts as vectors by name and a random Dynamic Encoder, and atlases of known numbers."""

import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from affine import Affine
from odc.geo.geobox import GeoBox
from torch import nn

from sat2cap.atlas import Atlas, create_or_resume
from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.model.calibration import Calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.metadata import feature_count
from sat2cap.model.preprocess import Preprocess


class Tower(nn.Linear):
    """Enough of an overhead tower to have a size and an identity."""

    def __init__(self, dim: int, seed: int) -> None:
        super().__init__(2, dim)
        nn.init.constant_(self.weight, seed)
        nn.init.zeros_(self.bias)
        self.config = SimpleNamespace(projection_dim=dim)


class NamedTexts(Checkpoint):
    """Embeds each text as a unit vector fixed by its letters; remembers nothing."""

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=self.dim) for text in texts]
        stack = np.stack(rows)
        return (stack / np.linalg.norm(stack, axis=1, keepdims=True)).astype(np.float32)


def model(dim: int = 64, *, seed: int = 0, dynamic: bool = True, encoding: str = "cyclic") -> Checkpoint:
    torch.manual_seed(seed)
    encoder = DynamicEncoder(dim, features=feature_count(encoding)).eval() if dynamic else None
    if encoder is not None:
        with torch.no_grad():  # as large as embeddings are, so that the offset matters
            for layer in (encoder.fc1, encoder.fc2):
                layer.weight.mul_(4)
                layer.bias.mul_(4)
    seen = Preprocess(8)
    return NamedTexts(
        Tower(dim, seed), None, None, encoder, 20.0, encoding, seen, seen, {"name": f"made {seed}"}
    )


def grid(height: int, width: int) -> GeoBox:
    return GeoBox((height, width), Affine(480, 0, 480_000, 0, -480, 5_760_000), "EPSG:32631")


def embeddings(height: int, width: int, dim: int, seed: int = 3) -> np.ndarray:
    """Unnormalised, of lengths between 1 and 12, as real ones differ."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(height, width, dim)) * rng.uniform(1, 12, (height, width, 1)) / dim**0.5
    return values.astype(np.float32)


def atlas(
    path: Path,
    values: np.ndarray,
    checkpoint: Checkpoint,
    holes: np.ndarray,
    dtype: str = "int8",
    box: GeoBox | None = None,
) -> Atlas:
    """An atlas of `values` [h, w, D], none at `holes`; its last column lies outside the region."""
    height, width, dim = values.shape
    wanted = np.ones((height, width), bool)
    wanted[:, -1] = False
    identity = {"identity": "m", "place_identity": checkpoint.place_identity, "card": checkpoint.card}
    imagery = {"identity": "i", "uri": "land.tif", "attribution": "Nobody", "licence": "CC0-1.0"}
    spec = AtlasSpec(box or grid(height, width), wanted, dim, dtype, identity, imagery, 480.0, 8)
    writer = create_or_resume(path, spec)
    for chunk in writer.pending():
        status = np.where(holes[chunk.rows, chunk.cols], CellStatus.IMAGERY_MISSING, CellStatus.OK)
        writer.write(chunk, values[chunk.rows, chunk.cols], status.astype(np.uint8))
    return writer.finish()


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def calibrated(count: int = 3000, dim: int = 64, noise: float = 0.3, *, dynamic: bool = True) -> Checkpoint:
    """A model whose places look to it much as their photos do, and the photos."""
    rng = np.random.default_rng(2)
    photos = unit(rng.normal(size=(count, dim)))
    places = photos + noise / np.sqrt(dim) * rng.normal(size=photos.shape).astype(np.float32)
    features = np.zeros((count, 12 if dynamic else 0), np.float32)
    return replace(model(dim, dynamic=dynamic), calibration=Calibration(photos, 7 * places, features))
