"""Opening imagery by what people write: a file, folder, tile service, archive, search or name."""

from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.errors import ImageryError
from sat2cap.imagery.bands import DEFAULT_RENDERING, BandRendering
from sat2cap.imagery.description import may_be_described
from sat2cap.imagery.tiles.template import is_template

# Each kind of imagery is imported when it is asked for: a file needs neither a network nor tables.
if TYPE_CHECKING:
    from odc.geo.geom import Geometry

    from sat2cap.imagery.named import Source
    from sat2cap.imagery.protocol import Imagery


def open_source(
    spec: str,
    rendering: BandRendering = DEFAULT_RENDERING,
    *,
    region: "Geometry | None" = None,
    cache: Path | None = None,
) -> "Imagery":
    """Return real imagery, as opposed to that of a miniature world, opened by what people write for it.

    `spec` is one of: path or URL of a raster, a folder of rasters, a ``.pmtiles`` archive, a tile template,
    ``stac:URL``, a name of `named_sources`, a source file (``.toml``). `region`, in any CRS, is where a
    search looks; `cache` is a folder to keep fetched tiles in. Raises `ImageryError` if there is no such
    imagery, it cannot be read, or `rendering` does not apply to it.

    Example:
        open_source("ortho.tif")
        open_source("scene.tif", BandRendering((4, 3, 2), (0, 3000)))
        open_source("https://example.org/{z}/{x}/{y}.png", cache=Path("tiles"))
    """
    if not spec.strip():  # which as a path would be the folder of the process
        raise ImageryError("the name of the imagery is empty; give a file, a folder, an address or a name")
    if may_be_described(spec):
        from sat2cap.imagery.named import find_source

        source = find_source(spec)
        if source is not None:
            return _open_described(source, rendering, region, cache)
    if is_template(spec):
        from sat2cap.imagery.tiles.service import open_tiles

        _require_default(spec, rendering)
        return open_tiles(spec, cache=cache)
    return _open_path(spec, rendering, None, "unknown")


def _open_described(
    source: "Source", rendering: BandRendering, region: "Geometry | None", cache: Path | None
) -> "Imagery":
    """Open the imagery of a source file or of a name, as its kind needs; options of the user come first."""
    rendering = BandRendering(
        rendering.bands or source.bands, rendering.stretch or source.scale, rendering.heed_alpha
    )
    if source.kind == "stac":
        if rendering.bands is not None:
            raise ImageryError(f"imagery {source.name!r} has assets, not bands; write ?assets=red,green,blue")
        from sat2cap.imagery.stac.reader import open_stac

        return open_stac(source.model_copy(update={"scale": rendering.stretch}), region)
    if source.kind == "raster":
        return _open_path(source.url, rendering, source.attribution, source.licence)
    from sat2cap.http import FetchPolicy
    from sat2cap.imagery.tiles.service import open_tiles

    _require_default(source.name, rendering)
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


def _open_path(spec: str, rendering: BandRendering, attribution: str | None, licence: str) -> "Imagery":
    """Open imagery that is a path or an address: an archive of tiles, a folder or a raster."""
    path = spec.partition("?")[0].lower()
    if path.endswith(".pmtiles"):
        from sat2cap.imagery.tiles.pmtiles import open_archive

        _require_default(spec, rendering)
        return open_archive(spec, attribution, licence)
    if Path(spec).is_dir():
        from sat2cap.imagery.mosaic import open_folder

        return open_folder(spec, rendering, attribution, licence)
    if path.endswith(".zip") and not path.startswith("/vsi"):
        raise ImageryError(f"imagery {spec!r} is an archive; name a file in it: /vsizip/{spec}/FILE")
    if "/" not in spec and "." not in spec and not Path(spec).exists():
        from sat2cap.imagery.named import named_sources

        names = ", ".join(named_sources())
        raise ImageryError(f"imagery {spec!r} is neither a file nor a known name; the names are {names}")
    from sat2cap.imagery.raster import open_raster

    return open_raster(
        spec,
        rendering.bands,
        stretch=rendering.stretch,
        heed_alpha=rendering.heed_alpha,
        attribution=attribution,
        licence=licence,
    )


def _require_default(spec: str, rendering: BandRendering) -> None:
    """Raise `ImageryError` if a rendering is asked of tiles, which are pictures that others have rendered."""
    if rendering != DEFAULT_RENDERING:
        raise ImageryError(
            f"imagery {spec!r} consists of pictures, whose bands and stretch cannot be chosen; leave them out"
        )
