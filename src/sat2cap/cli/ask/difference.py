"""``sat2cap difference``."""

from typing import Annotated

import typer

from sat2cap.cli.ask import output
from sat2cap.cli.ask.map import ScaleName
from sat2cap.cli.ask.output import Above, Best, Outlines, Places, Title, Underlay
from sat2cap.cli.ask.prompts import refuse_paths
from sat2cap.cli.options import AtlasModel, AtlasPath, Text, When, Within


def difference(
    atlas: AtlasPath,
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", callback=refuse_paths, help="What a photo there would show.")
    ],
    out: output.Still,
    less: Annotated[
        str | None,
        typer.Argument(
            metavar="LESS",
            callback=refuse_paths,
            help="The prompt to subtract; by default the same prompt, at another date.",
        ),
    ] = None,
    when: When = None,
    less_when: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="The date of the subtracted map; by default that of --when."),
    ] = None,
    less_atlas: Annotated[
        str | None,
        typer.Option(
            metavar="ATLAS",
            help="The atlas of the subtracted map: the same cells and the same model, but other imagery, "
            "such as that of another year.",
        ),
    ] = None,
    scale: Annotated[
        ScaleName,
        typer.Option(metavar="cosine|percentile|contrast", help="Scale of both maps; see: sat2cap map."),
    ] = ScaleName.cosine,
    within: Within = None,
    crs: output.Crs = None,
    above: Above = None,
    best: Best = None,
    title: Title = None,
    underlay: Underlay = None,
    bands: output.UnderlayBands = None,
    stretch: output.UnderlayStretch = None,
    recipe: output.UnderlayRecipe = None,
    outlines: Outlines = None,
    places: Places = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Map what changes between two dates or two atlases, or differs between two prompts.

    The values are those of the first map minus those of the second; 0 has the middle colour.
    """
    from sat2cap import api
    from sat2cap.maps import STILL_SUFFIXES, MapOptions, check_output

    options = MapOptions(
        title, underlay, outlines, places or (), above, best, bands=bands, stretch=stretch, recipe=recipe
    )
    check_output(out, options, STILL_SUFFIXES)
    api.check_names(atlas, model, text)
    opened = api.open(atlas, model, text)
    target = output.choose_crs(opened, out, crs)
    subtracted = None if less_atlas is None else api.open(less_atlas, model, text)
    score = opened.difference(
        prompt, less, when, less_when, scale.value, within, crs=target, less_atlas=subtracted
    )
    output.warn_about_score(score.attrs)
    output.save_map(score, out, options)
