"""A small overhead tower with random weights, and imagery whose reads are counted, slowed or broken."""

import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry, box
from torch import nn

from sat2cap.errors import ImageryError
from sat2cap.geo.frame import on_grid
from sat2cap.imagery.protocol import RGBA, ImageryInfo
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.preprocess import Preprocess

PIXELS = 16
DIM = 24


class Tower(nn.Module):
    """Convolution, nonlinearity, mean, projection: enough that every pixel counts."""

    def __init__(self, poison: bool = False) -> None:
        super().__init__()
        self.config = SimpleNamespace(projection_dim=DIM)
        self.first = nn.Conv2d(3, 32, 4, 4)
        self.second = nn.Linear(32 * 16, DIM)
        self.poison = poison

    def forward(self, pixel_values: torch.Tensor) -> SimpleNamespace:
        features = torch.tanh(self.first(pixel_values)).flatten(1)
        out = self.second(features)
        return SimpleNamespace(image_embeds=out * float("nan") if self.poison else out)


def model(*, seed: int = 0, poison: bool = False) -> Checkpoint:
    torch.set_num_threads(1)  # the work is small, and threads wait for each other where cores are shared
    torch.manual_seed(seed)
    seen = Preprocess(PIXELS)
    tower, encoder = Tower(poison).eval(), DynamicEncoder(DIM).eval()
    return Checkpoint(tower, None, None, encoder, 20.0, "cyclic", seen, seen, {"name": f"small {seed}"})


def grid(height: int, width: int) -> GeoBox:
    return GeoBox((height, width), Affine(480, 0, 480_000, 0, -480, 5_760_000), "EPSG:32631")


@dataclass
class Ground:
    """Pixels by position in EPSG:32631; bounds of breaks and holes are (west, south, east, north)."""

    broken: tuple[float, float, float, float] | None = None
    holes: tuple[float, float, float, float] | None = None
    outline: tuple[float, float, float, float] | None = None
    pause_s: float = 0.0
    reads: list[GeoBox] = field(default_factory=list)

    @property
    def info(self) -> ImageryInfo:
        return ImageryInfo("ground", f"ground-{self.holes}-{self.outline}", 30.0, "Nobody", "CC0-1.0")

    @property
    def footprint(self) -> Geometry | None:
        return box(*self.outline, "EPSG:32631") if self.outline else None

    def read(self, box: GeoBox) -> xr.DataArray:
        self.reads.append(box)
        time.sleep(self.pause_s)
        bounds = box.boundingbox
        if self.broken and _overlap((bounds.left, bounds.bottom, bounds.right, bounds.top), self.broken):
            raise ImageryError("tile 7 is cut short")
        row, col = np.meshgrid(np.arange(box.shape[0]) + 0.5, np.arange(box.shape[1]) + 0.5, indexing="ij")
        x, y = box.affine.c + col * box.affine.a, box.affine.f + row * box.affine.e
        alpha = np.full(x.shape, 255.0)
        if self.holes:
            west, south, east, north = self.holes
            alpha[(x > west) & (x < east) & (y > south) & (y < north)] = 0
        colours = [
            127 + 120 * np.sin(x / 700),
            127 + 120 * np.cos(y / 900),
            127 + 120 * np.sin((x + 2 * y) / 400),
        ]
        pixels = np.stack([*colours, alpha], -1).astype(np.uint8)
        pixels[alpha == 0] = 0
        return on_grid(pixels, box, ("y", "x", "band"), {"band": list(RGBA)})


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
