"""``sat2cap evaluate captions``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.ask.caption import CaptionerName, Tokenizer
from sat2cap.cli.evaluate.pairs import Seed, Split
from sat2cap.cli.evaluate.shared import BlockKm, Clip, Draws, Run, run_evaluation
from sat2cap.cli.options import Json, Model, PairsPath
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.evaluation import Evaluation


def captions(
    pairs: PairsPath,
    model: Model,
    captioner: CaptionerName = None,
    clip: Clip = None,
    written: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            metavar="FILE.jsonl",
            help="Captions that people wrote; the miniature world brings its own.",
        ),
    ] = None,
    encoders: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="A sentence encoder, such as all-mpnet-base-v2; may be repeated.",
        ),
    ] = None,
    bert: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also compute BERTScore by this model, such as roberta-large."),
    ] = None,
    bert_layer: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The layer to take, for a model that bert-score does not list.", min=1
        ),
    ] = None,
    beams: Annotated[
        int, typer.Option(metavar="N", help="Number of beams; 1, a greedy search, as in table 2.", min=1)
    ] = 1,
    split: Split = "test",
    gallery: Annotated[int, typer.Option(metavar="N", help="Number of pairs to caption.", min=2)] = 500,
    tokenizer: Tokenizer = "gpt2",
    block_km: BlockKm = 10.0,
    draws: Draws = 1000,
    seed: Seed = 0,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure captions.

    This is table 2 of the paper: captions from overhead embeddings are compared with captions from the photo
    and with what people wrote, also over the months. In the miniature world it is measured, too, how much of
    them is true. With -o, figure 6 is drawn: patches, the photos nearest to them in January and July, and
    captions.
    """
    require_extra("evaluate", "sat2cap evaluate captions")
    from sat2cap.catalogue import MINICAPTIONER, resolve_captioner, resolve_model
    from sat2cap.cli import console
    from sat2cap.evaluation import CaptionOptions, caption_inputs, evaluate_captions, read_captions
    from sat2cap.pairs import open_pairs
    from sat2cap.report import caption_figure

    opened, checkpoint = open_pairs(pairs), resolve_model(model)
    baseline = None if clip is None else resolve_model(clip)
    loaded = resolve_captioner(captioner, checkpoint, tokenizer)
    human_captions = None if written is None else read_captions(written)
    options = CaptionOptions(
        split, gallery, seed, beams, tuple(encoders or ()), bert, bert_layer, block_km, draws
    )
    cache = None if run is None else run / "embeddings"

    def compute_metrics() -> "Evaluation":
        with console.show_progress(resumes=False) as progress:
            return evaluate_captions(
                opened, checkpoint, baseline, loaded, options, human_captions, cache, progress
            )

    run_evaluation(
        run,
        json,
        "captions",
        caption_inputs(opened, checkpoint, baseline, loaded, options, human_captions),
        compute_metrics,
        lambda evaluation: caption_figure(opened, split, evaluation.material, checkpoint),
        {"pairs": opened.name, "model": model, "clip": clip or "", "captioner": captioner or MINICAPTIONER},
    )
