"""``sat2cap classify``."""

from typing import Annotated

import typer

from sat2cap.cli.ask import output
from sat2cap.cli.ask.output import Outlines, Places, Title, Underlay
from sat2cap.cli.ask.prompts import refuse_paths
from sat2cap.cli.options import AtlasModel, AtlasPath, Text, When, Within


def classify(
    atlas: AtlasPath,
    prompts: Annotated[
        list[str],
        typer.Argument(
            metavar="PROMPT",
            callback=refuse_paths,
            help="The categories, 2 to 12: what a photo of each would show.",
        ),
    ],
    out: output.Still,
    when: When = None,
    within: Within = None,
    crs: output.Crs = None,
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
    """Map which of several prompts fits each cell best, and with which confidence.

    A .tif has a colour table, and the confidence is in a second file beside it, NAME-confidence.tif. In a
    picture, cells of low confidence are paler. Areas have the mean confidence of their cells.
    """
    from sat2cap import api
    from sat2cap.maps import STILL_SUFFIXES, MapOptions, check_output

    options = MapOptions(title, underlay, outlines, places or (), bands=bands, stretch=stretch, recipe=recipe)
    check_output(out, options, STILL_SUFFIXES)
    api.check_names(atlas, model, text)
    opened = api.open(atlas, model, text)
    classes = opened.classify(prompts, when, within, output.choose_crs(opened, out, crs))
    output.warn_about_score(classes.attrs)
    output.save_map(classes, out, options)
