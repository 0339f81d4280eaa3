"""Maps as tiles and pictures for other programs: titiler's endpoints, for which a question is the dataset."""

from dataclasses import dataclass
from typing import Annotated, Any

import morecantile
import morecantile.defaults
from fastapi import APIRouter, Depends, Query
from rio_tiler.colormap import cmap
from rio_tiler.models import ImageData
from rio_tiler.types import RIOResampling
from titiler.core.dependencies import DefaultDependency
from titiler.core.factory import TilerFactory
from titiler.core.resources.enums import ImageType
from titiler.core.utils import render_image

from sat2cap.errors import InputError
from sat2cap.server.answer_reader import DIFFERENCE_BAND, AnswerReader
from sat2cap.server.limits import BinParams, PercentileParams, SizeParams, check_address
from sat2cap.server.state import answer_question

TILE_MATRIX_SET = "WebMercatorQuad"
"""The only one offered: QGIS shows every set of a server to choose from."""

PREFIX = "/api/atlases/{atlas}/map"
"""Path of these endpoints."""

_COLOURS, _DIVERGING = cmap.get("magma"), cmap.get("rdbu_r")
_PICTURES = {None, ImageType.png, ImageType.jpeg, ImageType.jpg, ImageType.webp}


@dataclass
class ResamplingParams(DefaultDependency):
    """How cells become pixels."""

    resampling_method: Annotated[
        RIOResampling | None, Query(alias="resampling", description="nearest keeps cells as they are.")
    ] = None


@dataclass
class NoParams(DefaultDependency):
    """No parameters: there is one band, and expressions would be code of strangers."""


def no_processing() -> None:
    """Offer no algorithms: they are for elevation and bands, not for scores."""


def check_rescale(rescale: Any) -> None:
    """Raise `InputError` for a range whose first number is not the lower."""
    for low, high in rescale or ():
        if not low < high:
            raise InputError(f"rescale {low:g},{high:g}: the first number must be the lower; such as 0.1,0.3")


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
    check_rescale(rescale)
    if output_format not in _PICTURES:
        return render_image(image, colormap, output_format, rescale=rescale, **options)
    rescale = rescale or image.dataset_statistics
    colours = colormap or (_DIVERGING if image.band_descriptions == [DIFFERENCE_BAND] else _COLOURS)
    return render_image(image, colours, output_format or ImageType.png, rescale=rescale, **options)


tiler = TilerFactory(
    reader=AnswerReader,
    path_dependency=answer_question,
    router=APIRouter(dependencies=[Depends(check_address)]),
    router_prefix=PREFIX,
    layer_dependency=NoParams,
    dataset_dependency=ResamplingParams,
    tile_dependency=NoParams,
    img_preview_dependency=SizeParams,
    img_part_dependency=SizeParams,
    stats_dependency=PercentileParams,
    histogram_dependency=BinParams,
    process_dependency=no_processing,
    render_func=render_score,
    supported_tms=morecantile.defaults.TileMatrixSets(
        {TILE_MATRIX_SET: morecantile.tms.get(TILE_MATRIX_SET)}
    ),
    add_viewer=False,
    add_ogc_maps=True,
)


def check_tile_style(
    colours: Annotated[Any, Depends(tiler.colormap_dependency)],
    rendering: Annotated[Any, Depends(tiler.render_dependency)],
    resampling: Annotated[Any, Depends(tiler.dataset_dependency)],
) -> None:
    """Read what tiles accept about their looks, for a document that hands it on to their addresses.

    Raises what a tile would raise, so that a mistake is seen at once and not as a layer of broken tiles.
    """
    check_rescale(rendering.rescale)
