"""Maps as tiles and pictures for other programs: titiler's endpoints, for which a question is the dataset."""

from dataclasses import dataclass
from typing import Annotated, Any

import morecantile
import morecantile.defaults
import numpy as np
from fastapi import Query
from pydantic import Field
from rasterio.io import MemoryFile
from rio_tiler.colormap import cmap
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.types import RIOResampling
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import TilerFactory
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from sat2cap.errors import InputError
from sat2cap.geo import grid_of
from sat2cap.server.scores import Answer
from sat2cap.server.state import answer_question

TILE_MATRIX_SET = "WebMercatorQuad"
"""The only one offered: QGIS shows every set of a server to choose from."""

PREFIX = "/api/atlases/{atlas}/map"
"""Path of these endpoints."""

MAX_PIXELS = 2048
"""Longest side of a picture or tile, pixels."""

_COLOURS, _DIVERGING = cmap.get("magma"), cmap.get("rdbu_r")
DIFFERENCE_BAND = "difference"
"""Name of the band of a difference."""
_PICTURES = {None, ImageType.png, ImageType.jpeg, ImageType.jpg, ImageType.webp}


class AnswerReader(Reader):
    """A reader whose input is an `Answer`, not a path."""

    def __attrs_post_init__(self) -> None:
        """Open the answer as a GeoTIFF in memory."""
        memory = self._ctx_stack.enter_context(MemoryFile(_as_geotiff(self.input)))
        self.dataset = self._ctx_stack.enter_context(memory.open())
        super().__attrs_post_init__()


@dataclass
class ResamplingParams(DefaultDependency):
    """How cells become pixels."""

    resampling_method: Annotated[
        RIOResampling | None, Query(alias="resampling", description="nearest keeps cells as they are.")
    ] = None


@dataclass
class SizeParams(DefaultDependency):
    """Size of a picture."""

    max_size: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Longest side, pixels.")] = 1024
    height: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Height, pixels.")] = None
    width: Annotated[int | None, Field(gt=0, le=MAX_PIXELS, description="Width, pixels.")] = None

    def __post_init__(self) -> None:
        """Let a stated height or width replace the longest side."""
        if self.width or self.height:
            self.max_size = None


@dataclass
class NoParams(DefaultDependency):
    """No parameters: there is one band, and expressions would be code of strangers."""


def no_processing() -> None:
    """Offer no algorithms: they are for elevation and bands, not for scores."""


def render_score(
    image: ImageData,
    colormap: Any = None,
    output_format: ImageType | None = None,
    rescale: Any = None,
    **options: Any,
) -> tuple[bytes, str]:
    """Return a picture and its media type: magma from the lowest to the highest score, if nothing is asked.

    Formats of numbers, such as GeoTIFF, hold the scores themselves.
    """
    for low, high in rescale or ():
        if not low < high:
            raise InputError(f"rescale {low:g},{high:g}: the first number must be the lower; such as 0.1,0.3")
    if output_format not in _PICTURES:
        return render_image(image, colormap, output_format, rescale=rescale, **options)
    rescale = rescale or image.dataset_statistics
    colours = colormap or (_DIVERGING if image.band_descriptions == [DIFFERENCE_BAND] else _COLOURS)
    return render_image(image, colours, output_format or ImageType.png, rescale=rescale, **options)


tiler = TilerFactory(
    reader=AnswerReader,
    path_dependency=answer_question,
    router_prefix=PREFIX,
    layer_dependency=NoParams,
    dataset_dependency=ResamplingParams,
    tile_dependency=NoParams,
    img_preview_dependency=SizeParams,
    img_part_dependency=SizeParams,
    process_dependency=no_processing,
    render_func=render_score,
    supported_tms=morecantile.defaults.TileMatrixSets(
        {TILE_MATRIX_SET: morecantile.tms.get(TILE_MATRIX_SET)}
    ),
    add_viewer=False,
    add_ogc_maps=False,
)


def _as_geotiff(answer: Answer) -> bytes:
    """Return the scores as an uncompressed GeoTIFF, with their range as statistics."""
    grid = grid_of(answer.score)
    values = np.asarray(answer.score.values, np.float32)
    low, high = (answer.low, answer.high) if np.isfinite(answer.low) else (0.0, 1.0)
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", height=grid.shape[0], width=grid.shape[1], count=1, dtype="float32",
            crs=grid.crs.to_wkt(), transform=grid.affine, nodata=np.nan,
        ) as dataset:  # fmt: skip
            dataset.write(values, 1)
            dataset.set_band_description(1, DIFFERENCE_BAND if answer.is_centred else "score")
            dataset.update_tags(1, STATISTICS_MINIMUM=low, STATISTICS_MAXIMUM=max(high, low + 1e-6))
        return bytes(memory.read())
