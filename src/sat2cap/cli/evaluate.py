"""``sat2cap evaluate``."""

import typer

from sat2cap.cli.measure_captions import captions
from sat2cap.cli.measure_maps import landcover, maps, time
from sat2cap.cli.measure_pairs import clusters, retrieval

app = typer.Typer(help="Measure models and maps.", no_args_is_help=True)
app.command()(retrieval)
app.command()(clusters)
app.command()(maps)
app.command()(captions)
app.command()(landcover)
app.command()(time)
