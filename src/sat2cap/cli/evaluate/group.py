"""``sat2cap evaluate``: the group of its commands."""

import typer

from sat2cap.cli.evaluate.captions import captions
from sat2cap.cli.evaluate.maps import landcover, maps, time
from sat2cap.cli.evaluate.pairs import clusters, retrieval

app = typer.Typer(help="Measure models and maps.", no_args_is_help=True)
app.command()(retrieval)
app.command()(clusters)
app.command()(maps)
app.command()(captions)
app.command()(landcover)
app.command()(time)
