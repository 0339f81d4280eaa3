"""Table 1's ablation on the miniature world: metadata in training, its dropout, and metadata at inference.

    python benchmarks/ablation.py DEMO_FOLDER OUT.json [STEPS]

needs the pairs of a finished `sat2cap demo --out DEMO_FOLDER`; trains three models, each resumable, and
measures them in one table. The same table is then one command: sat2cap evaluate retrieval with a --model
for each of DEMO_FOLDER/ablation.
"""

import sys
from pathlib import Path

from sat2cap.catalogue import resolve_model
from sat2cap.demo.plan import RUN_FILE
from sat2cap.evaluation import TableOptions, evaluate_table, metric_values
from sat2cap.files import write_json
from sat2cap.pairs import open_pairs
from sat2cap.training import Run, load_run, train

VARIANTS: dict[str, dict[str, bool | float]] = {
    "no metadata": {"dynamic": False},
    "metadata, no dropout": {"dynamic": True, "dropout": 0.0},
    "metadata, dropout 0.3": {"dynamic": True, "dropout": 0.3},
}


def configure_variant(base: Run, demo: Path, name: str, steps: int) -> Run:
    """Return the demo's run with the model section of one row of the table."""
    folder = demo / "ablation" / name.replace(" ", "-").replace(",", "")
    return base.model_copy(
        update={
            "data": base.data.model_copy(update={"pairs": str(demo / "pairs"), "validation_pairs": 0}),
            "model": base.model.model_copy(update=VARIANTS[name]),
            "optim": base.optim.model_copy(update={"steps": steps}),
            "output": base.output.model_copy(update={"folder": str(folder)}),
        }
    )


def main(demo: Path, out: Path, steps: int) -> None:
    """Train the three models, and measure them with and without metadata on the held-out planet."""
    heldout = open_pairs(demo / "heldout")
    models = {
        name: resolve_model(
            train(configure_variant(load_run(RUN_FILE), demo, name, steps), resolve=resolve_model)
        )
        for name in reversed(VARIANTS)  # the whole method first
    }
    options = TableOptions(split=str(heldout.index["split"].mode()[0]))
    table = evaluate_table(heldout, models, resolve_model("miniclip"), options)
    for metric in table.metrics:
        print(metric.name, f"{metric.value:.4f}", metric.interval or "", flush=True)
    write_json(out, {"steps": float(steps), **metric_values(table.metrics)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 300)
