"""Imagery by what people write: a file, a folder, a tile service, an archive, a search, a name."""

from pathlib import Path

from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError
from sat2cap.http import FetchPolicy
from sat2cap.imagery.bands import AS_THEY_ARE, Shown
from sat2cap.imagery.mosaic import open_folder
from sat2cap.imagery.named import Source, catalogue, find_source
from sat2cap.imagery.protocol import Imagery
from sat2cap.imagery.raster import open_raster
from sat2cap.imagery.stac.reader import open_stac
from sat2cap.imagery.tiles.pmtiles import open_archive
from sat2cap.imagery.tiles.service import open_tiles
from sat2cap.imagery.tiles.template import is_template


def open_source(
    spec: str,
    shown: Shown = AS_THEY_ARE,
    *,
    region: Geometry | None = None,
    cache: Path | None = None,
) -> Imagery:
    """Imagery that is not made up.

    `spec` is a raster's path or URL, a folder, a ``.pmtiles`` archive, a tile template, ``stac:URL``, a name
    of the catalogue or a source file (``.toml``). `region` is where a search looks; `cache` a folder to keep
    tiles in. Raises `ImageryError`.
    """
    source = find_source(spec)
    if source is not None:
        return _open_record(source, shown, region, cache)
    if is_template(spec):
        _as_pictures(spec, shown)
        return open_tiles(spec, cache=cache)
    return _open_file(spec, shown, None, "unknown")


def _open_record(source: Source, shown: Shown, region: Geometry | None, cache: Path | None) -> Imagery:
    shown = Shown(shown.bands or source.bands, shown.stretch or source.scale)
    if source.kind == "stac":
        if shown.bands is not None:
            raise ImageryError(f"imagery {source.name!r} has assets, not bands: say ?assets=red,green,blue")
        return open_stac(source.model_copy(update={"scale": shown.stretch}), region)
    if source.kind == "raster":
        return _open_file(source.url, shown, source.attribution, source.licence)
    _as_pictures(source.name, shown)
    return open_tiles(
        source.url,
        headers=source.headers,
        policy=FetchPolicy(max_concurrent=source.at_once),
        zooms=source.zooms,
        tile_pixels=source.tile_pixels,
        bounds=source.bounds,
        cache=cache,
        attribution=source.attribution,
        licence=source.licence,
    )


def _open_file(spec: str, shown: Shown, attribution: str | None, licence: str) -> Imagery:
    path = spec.partition("?")[0].lower()
    if path.endswith(".pmtiles"):
        _as_pictures(spec, shown)
        return open_archive(spec, attribution, licence)
    if Path(spec).is_dir():
        return open_folder(spec, shown, attribution, licence)
    if path.endswith(".zip") and not path.startswith("/vsi"):
        raise ImageryError(f"imagery {spec!r} is an archive; name a file in it: /vsizip/{spec}/FILE")
    if "/" not in spec and "." not in spec and not Path(spec).exists():
        known = ", ".join(catalogue())
        raise ImageryError(f"imagery {spec!r} is no file and no name that is known; the names are {known}")
    return open_raster(spec, shown.bands, stretch=shown.stretch, attribution=attribution, licence=licence)


def _as_pictures(spec: str, shown: Shown) -> None:
    """Tiles have been made into colours by whoever made them."""
    if shown != AS_THEY_ARE:
        raise ImageryError(
            f"imagery {spec!r} is pictures: their bands and scale cannot be chosen; leave them out"
        )
