"""What people pass to the library, turned into the package's own values, or refused in one line.

Every function names the argument, the value that was given and what is accepted, so that a message can be
acted on without reading a traceback.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, cast

import numpy as np
from numpy.typing import NDArray

from sat2cap.arguments import type_words
from sat2cap.errors import InputError, PromptError, RegionError, WhenError
from sat2cap.geo import When, parse_when

# What a person passes is of these libraries only where they imported them; a text needs none of them.
if TYPE_CHECKING:
    import geopandas as gpd
    import shapely
    from PIL import Image

    from sat2cap.geo import Region

RegionLike = Any
"""Text or a path as `geo.parse_region` takes it, a bounding box ``(west, south, east, north)`` in degrees, a
shapely geometry in degrees, a GeoSeries or GeoDataFrame in any CRS, a `GeoBox`, or a `Region`."""
Moment = str | When | datetime | date | np.datetime64
"""A date and hour local to each place: ``"2024-05-20 08:00"``, ``"2024-05"``, or any date type. A day without
an hour is its noon, a month its 15th at noon."""
Prompt = Union[str, Path, "Image.Image", NDArray[np.floating[Any]]]
"""Text, the path of an image, a PIL image, or a vector ``(D,)`` of the model's length."""

CrsLike = Any
"""A CRS in metres: a code as text (``"EPSG:3857"``) or number, or a CRS of pyproj, rasterio or odc-geo."""

_NOON = 12.0
_MID_MONTH = 15
_REGION_FORMS = (
    "give 'west,south,east,north', a file of polygons, a tuple of four degrees, a shapely geometry, "
    "a GeoSeries, a GeoDataFrame or a GeoBox"
)
_DATE_FORMS = "give text such as '2024-05-20 08:00', a date, a datetime, a Timestamp or a datetime64"


def is_instance_of(value: object, module: str, *names: str) -> bool:
    """Return whether `value` is of one of the classes called `names` of a library, without importing that.

    Where nobody has imported the library, nothing can be of its classes.

    >>> is_instance_of("4.85,52.35,4.95,52.40", "geopandas", "GeoSeries")
    False
    """
    library = sys.modules.get(module)
    return library is not None and isinstance(value, tuple(getattr(library, name) for name in names))


def to_region(region: RegionLike) -> "Region | None":
    """Return `region` as a `Region` in EPSG:4326; None stays None. Raises `RegionError`.

    >>> to_region((4.85, 52.35, 4.95, 52.40)).label
    '4.85,52.35,4.95,52.4'
    """
    if region is None:
        return None
    from sat2cap.geo import Region, parse_region

    if isinstance(region, Region):
        return region
    if isinstance(region, str | Path):
        return parse_region(str(region))
    if is_instance_of(region, "geopandas", "GeoDataFrame", "GeoSeries"):
        return _from_table(region)
    if is_instance_of(region, "odc.geo.geobox", "GeoBox"):
        from sat2cap.geo import outline

        return Region(outline(region), "GeoBox")
    if is_instance_of(region, "odc.geo.geom", "Geometry"):
        return _from_shape(_in_degrees(np.array([region.geom]), region.crs.proj), "Geometry")
    if is_instance_of(region, "shapely", "Geometry"):
        return _from_shape(region, region.geom_type)
    if isinstance(region, tuple | list | np.ndarray):
        edges = list(region)
        if len(edges) == 4 and all(isinstance(edge, Real) for edge in edges):
            return parse_region(",".join(f"{float(edge):.12g}" for edge in edges))
    raise RegionError(f"region is {type_words(region)}; {_REGION_FORMS}")


def _from_table(table: "gpd.GeoDataFrame | gpd.GeoSeries") -> "Region":
    if table.crs is None:
        raise RegionError("region is a table without a CRS; set it with .set_crs(…)")
    if not len(table):
        raise RegionError("region is a table without rows; give at least one polygon")
    shapes = table.geometry.dropna().to_numpy()
    return _from_shape(_in_degrees(shapes, table.crs), type(table).__name__)


def _in_degrees(shapes: NDArray[np.object_], crs: object) -> "shapely.Geometry":
    """Return shapes of a CRS in degrees, joined."""
    import shapely

    from sat2cap.geo import shapes_in_degrees

    return shapely.union_all(shapely.make_valid(shapes_in_degrees(shapes, crs)))


def _from_shape(shape: "shapely.Geometry", label: str) -> "Region":
    """Return a shape in degrees as a region. Raises `RegionError` if it has no area, or is not on Earth."""
    import shapely
    from odc.geo.geom import Geometry

    from sat2cap.geo import Region, within_180

    shape = shapely.force_2d(shape)
    if shape.is_empty or shape.area == 0:
        raise RegionError(f"region is a {shape.geom_type} without an area; give polygons")
    west, south, east, north = shape.bounds
    if not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        bounds = f"{west:g},{south:g},{east:g},{north:g}"
        raise RegionError(
            f"region {bounds} is not in degrees; give longitudes and latitudes, or a GeoSeries with a CRS"
        )
    return Region(Geometry(within_180(shape), "EPSG:4326"), label)


def to_crs_text(crs: CrsLike) -> str | None:
    """Return a CRS as text; None stays None. Raises `RegionError` for what is no CRS.

    >>> to_crs_text(3857)
    'EPSG:3857'
    """
    if crs is None or isinstance(crs, str):
        return crs
    if isinstance(crs, Integral) and not isinstance(crs, bool):
        return f"EPSG:{crs}"
    if hasattr(crs, "to_wkt"):
        return str(crs.to_wkt())
    raise RegionError(f"crs is {type_words(crs)}; give text such as 'EPSG:3857'")


def to_moment(when: Moment) -> When:
    """Return one date and hour as `When`; a time zone is left out, not converted. Raises `WhenError`.

    >>> to_moment(date(2024, 5, 20)).isoformat()
    '2024-05-20T12:00'
    """
    if isinstance(when, When):
        return when
    if isinstance(when, str):
        try:
            return parse_when(when)
        except WhenError as error:
            raise WhenError(f"when {error}") from None
    if isinstance(when, np.datetime64) and not np.isnat(when):
        return _from_datetime64(when)
    is_missing = when != when  # of all dates only pandas' NaT, which is a datetime, differs from itself
    if isinstance(when, datetime) and not is_missing:
        return When.from_datetime(when)
    if isinstance(when, date) and not is_missing:
        return When(when.year, when.month, when.day, _NOON)
    raise WhenError(f"when is {_shorten(when)}; {_DATE_FORMS}")


def _from_datetime64(when: np.datetime64) -> When:
    """Return a numpy date as a moment: noon of a day, the middle of a month. Raises `WhenError`."""
    unit = np.datetime_data(when)[0]
    moment = when.astype("datetime64[us]").item()
    if not isinstance(moment, datetime):  # numpy gives a number for years that Python's dates do not reach
        raise WhenError(f"when is {_shorten(when)}; {_DATE_FORMS}")
    if unit == "Y":
        raise WhenError(f"when is the year {moment.year} alone; {_DATE_FORMS}")
    if unit in ("M", "W", "D"):
        return When(moment.year, moment.month, _MID_MONTH if unit == "M" else moment.day, _NOON)
    return When.from_datetime(moment)


def to_moments(when: Any) -> When | list[When] | None:
    """Return one date as `When`, a sequence of dates as a list, and None as None.

    The types of a date are those of `Moment`. Raises `WhenError` for anything else, and for the first date of
    a sequence that is none.

    >>> [moment.isoformat() for moment in to_moments(["2024-01", "2024-07"])]
    ['2024-01-15T12:00', '2024-07-15T12:00']
    """
    if when is None:
        return None
    if isinstance(when, str | When | date | np.datetime64) or not isinstance(when, Iterable):
        return to_moment(when)
    moments = [to_moment(moment) for moment in when]
    if not moments:
        raise WhenError(f"when is {type_words(when)} without a date; give one or more, or None")
    return moments


@dataclass(frozen=True)
class PromptSet:
    """Prompts by the name that they have in results: texts are their own names."""

    names: list[str]
    """Texts, ``photo:PATH`` for the path of an image, and names for images and vectors."""
    images: "dict[str, Image.Image]"
    """Images to embed, by name."""
    vectors: dict[str, NDArray[np.float32]]
    """Vectors ``(D,)`` as they were given, by name."""


def to_prompts(prompts: "Prompt | Sequence[Prompt]", argument: str = "prompt") -> PromptSet:
    """Return prompts with their names. Raises `PromptError`, which calls the parameter `argument`.

    A list or tuple is several prompts, anything else one; a vector is an array of one dimension.
    """
    several = list(prompts) if isinstance(prompts, list | tuple) else [prompts]
    names: list[str] = []
    images: dict[str, Image.Image] = {}
    vectors: dict[str, NDArray[np.float32]] = {}
    prefix = "" if argument.startswith("prompt") else f"{argument} "
    for number, prompt in enumerate(several):
        where = f"{argument}[{number}]" if isinstance(prompts, list | tuple) else argument
        if is_instance_of(prompt, "PIL.Image", "Image"):
            name = f"{prefix}image {number + 1}"
            images[name] = cast("Image.Image", prompt)
        elif isinstance(prompt, np.ndarray) and prompt.ndim == 1 and prompt.dtype.kind == "f":
            name = f"{prefix}vector {number + 1}"
            vectors[name] = _check_vector(prompt, where)
        else:
            name = _prompt_text(prompt, where)
        names.append(name)
    return PromptSet(names, images, vectors)


def is_same_prompt(first: Prompt, second: Prompt) -> bool:
    """Return whether two prompts are the same text, path, object or numbers."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return isinstance(first, type(second)) and np.array_equal(cast(Any, first), cast(Any, second))
    return first is second or first == second


def to_texts(texts: "str | Sequence[str]", argument: str) -> list[str]:
    """Return one or several texts as a list. Raises `PromptError`, which calls the parameter `argument`.

    >>> to_texts("a photo of {}", "templates")
    ['a photo of {}']
    """
    several = [texts] if isinstance(texts, str) else texts
    if isinstance(several, list | tuple) and all(isinstance(text, str) for text in several):
        return list(several)
    raise PromptError(f"{argument} is {type_words(texts)}; give text, or a list of texts")


def _check_vector(vector: NDArray[Any], argument: str) -> NDArray[np.float32]:
    if not (np.isfinite(vector).all() and np.any(vector)):
        raise PromptError(
            f"{argument} is a vector with no direction: zeros, NaN or infinity; give an embedding"
        )
    return np.asarray(vector, np.float32)


def _prompt_text(prompt: object, argument: str) -> str:
    if isinstance(prompt, Path):
        if not prompt.is_file():
            raise PromptError(f"{argument} {str(prompt)!r} is no file; give the path of an image, or text")
        return f"photo:{prompt}"
    if not isinstance(prompt, str):
        forms = "give text, the path of an image, a PIL image, a vector of floats, or a list of these"
        raise PromptError(f"{argument} is {type_words(prompt)}; {forms}")
    return prompt


def to_places(points: Any) -> list[tuple[float, float]]:
    """Return N points as ``(lon, lat)`` in degrees. Raises `InputError`.

    `points`: a GeoSeries or GeoDataFrame of points in any CRS, an array ``(N, 2)``, or pairs ``(lon, lat)``.
    """
    if is_instance_of(points, "geopandas", "GeoDataFrame", "GeoSeries"):
        if points.crs is None:
            raise InputError("points are a table without a CRS; set it with .set_crs(…)")
        geometry = points.geometry.to_crs("EPSG:4326")
        if not (geometry.geom_type == "Point").all():
            raise InputError("points are a table of other shapes; give their .representative_point()")
        return list(zip(geometry.x.tolist(), geometry.y.tolist(), strict=True))
    try:
        pairs = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        pairs = np.empty(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.isfinite(pairs).all():
        raise InputError("points must be pairs (lon, lat) in degrees, an array (N, 2) or a GeoSeries")
    if (np.abs(pairs[:, 0]) > 180).any() or (np.abs(pairs[:, 1]) > 90).any():
        raise InputError("points are not all on Earth; give (lon, lat) in degrees, in this order")
    return [(float(lon), float(lat)) for lon, lat in pairs]


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
