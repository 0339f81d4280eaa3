"""Imagery by what people write, and the record in an atlas by which the same imagery is opened again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sat2cap.api.inputs import RegionLike, to_region
from sat2cap.arguments import NumbersLike, check_path, check_text, numbers_text
from sat2cap.atlas import USER_SPEC_KEY
from sat2cap.catalogue import open_imagery as open_by_name
from sat2cap.errors import ImageryError
from sat2cap.geo import Region, parse_region
from sat2cap.imagery import is_template, may_be_described, parse_rendering
from sat2cap.redaction import redact_secrets

if TYPE_CHECKING:
    from sat2cap.imagery import Imagery


def open_imagery(
    imagery: str | Path,
    *,
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    cache: str | Path | None = None,
    region: RegionLike = None,
) -> Imagery:
    """Return imagery that reads RGBA pixels on any grid.

    `imagery` is a raster by path or URL, a folder of them, a ``.pmtiles`` or ``.mbtiles`` archive, a tile URL
    with ``{z}``, ``{x}`` and ``{y}``, ``stac:URL``, a name that `sat2cap imagery list` prints, or
    ``miniworld:SEED``. `bands` such as ``"4,3,2"`` or ``(4, 3, 2)`` choose red, green and blue; `stretch`
    such as ``"0,3000"`` or ``(0, 3000)`` gives the values shown as black and white; `recipe` names both.
    `cache` is a folder to keep tiles in, `region` where a search looks. Warns of terms that do not clearly
    allow the use of a program, and of what a search left out. Raises `ImageryError`, and `InputError` for
    other types.
    """
    check_path(imagery, "imagery", "a file, an address or a name of: sat2cap imagery list")
    if cache is not None:
        check_path(cache, "cache")
    rendering = rendering_texts(bands, stretch, recipe)
    imagery = str(imagery)
    is_file = not may_be_described(imagery) and not is_template(imagery)
    if not is_file:
        from sat2cap.imagery import usage_caveats

        for caveat in usage_caveats(imagery):
            warnings.warn(caveat, stacklevel=2)
    place = to_region(region)
    source = open_by_name(
        imagery,
        parse_rendering(**rendering),
        region=None if place is None else place.geometry,
        cache=None if cache is None else Path(cache),
    )
    if not is_file:
        from sat2cap.imagery import StacImagery

        for note in source.notes if isinstance(source, StacImagery) else ():
            warnings.warn(f"imagery {imagery}: {note}", stacklevel=2)
    return source


def rendering_texts(
    bands: NumbersLike | None, stretch: NumbersLike | None, recipe: str | None
) -> dict[str, str | None]:
    """Return bands, stretch and recipe by name, as the text that the command line takes.

    Atlases keep them so. Raises `InputError` for values of other types.
    """
    if recipe is not None:
        check_text(recipe, "recipe", "sentinel2")
    return {
        "bands": numbers_text(bands, "bands", "4,3,2"),
        "stretch": numbers_text(stretch, "stretch", "0,3000"),
        "recipe": recipe,
    }


def imagery_options(
    imagery: str,
    *,
    bands: str | None = None,
    stretch: str | None = None,
    recipe: str | None = None,
    region: str | None = None,
    layer: str | None = None,
    where: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what named the imagery and the region that a search looked in, as an atlas keeps it: no secrets.

    The key of `stretch` is ``scale``, as in atlases written before the option was renamed.
    """
    options = {"imagery": redact_secrets(imagery), "bands": bands, "scale": stretch, "recipe": recipe}
    options |= {"region": region and redact_secrets(region), "layer": layer}
    return {name: text for name, text in options.items() if text is not None} | {"where": list(where)}


def reopen_imagery(
    record: Mapping[str, Any],
    atlas_region: Region,
    *,
    imagery: str | None = None,
    bands: NumbersLike | None = None,
    stretch: NumbersLike | None = None,
    recipe: str | None = None,
    cache: str | Path | None = None,
) -> Imagery:
    """Return the imagery that an atlas was made from, by its `record` there; arguments given now win.

    `atlas_region` is where a search looks whose own region is not in the record. Raises `ImageryError`,
    `RegionError`.
    """
    if imagery is None and "uri" not in record:
        raise ImageryError("the atlas does not say what its imagery was called; give it with --imagery")
    options = (
        {"imagery": record["uri"], **record.get(USER_SPEC_KEY, {})}
        if imagery is None
        else {"imagery": imagery}
    )
    region = atlas_region
    if record.get("items") and "region" in options:
        region = parse_region(options["region"], layer=options.get("layer"), where=options["where"])
    return open_imagery(
        options["imagery"],
        bands=options.get("bands") if bands is None else bands,
        stretch=options.get("scale") if stretch is None else stretch,
        recipe=options.get("recipe") if recipe is None else recipe,
        cache=cache,
        region=region,
    )
