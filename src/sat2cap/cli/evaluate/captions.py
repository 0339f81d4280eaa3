"""``sat2cap evaluate captions``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.ask.caption import CaptionerName, Tokenizer
from sat2cap.cli.evaluate.pairs import Pairs, Seed, Split
from sat2cap.cli.evaluate.shared import BlockKm, Clip, Draws, Run, measured
from sat2cap.cli.options import Json, Model

if TYPE_CHECKING:
    from sat2cap.evaluation import Evaluation


def captions(
    pairs: Pairs,
    model: Model,
    captioner: CaptionerName = None,
    clip: Clip = None,
    written: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            metavar="FILE.jsonl",
            help="What people wrote; a made-up planet knows.",
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
        typer.Option(metavar="NAME", help="Also BERTScore by this model, such as roberta-large."),
    ] = None,
    bert_layer: Annotated[
        int | None,
        typer.Option(metavar="N", help="Its layer, for a model not known to bert-score.", min=1),
    ] = None,
    beams: Annotated[int, typer.Option(metavar="N", help="Beams; 1, as in table 2, is greedy.", min=1)] = 1,
    split: Split = "test",
    gallery: Annotated[int, typer.Option(metavar="N", help="How many pairs to caption.", min=2)] = 500,
    tokenizer: Tokenizer = "gpt2",
    block_km: BlockKm = 10.0,
    draws: Draws = 1000,
    seed: Seed = 0,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure captions.

    Table 2 and figure 6 of the paper: captions from overhead embeddings against those from the photo, and
    what people wrote; how they change with the month; and on a made-up planet how much of them is true. With
    -o also figure 6: patches, the photos nearest to them in January and July, and captions.
    """
    from sat2cap.catalogue import MINICAPTIONER, resolve_captioner, resolve_model
    from sat2cap.cli import console
    from sat2cap.evaluation import CaptionOptions, caption_inputs, evaluate_captions, read_captions
    from sat2cap.pairs import open_pairs
    from sat2cap.report import caption_figure

    opened, checkpoint = open_pairs(pairs), resolve_model(model)
    baseline = None if clip is None else resolve_model(clip)
    loaded = resolve_captioner(captioner, checkpoint, tokenizer)
    people = None if written is None else read_captions(written)
    names = tuple(encoders or ())
    options = CaptionOptions(split, gallery, seed, beams, names, bert, bert_layer, block_km, draws)
    cache = None if run is None else run / "embeddings"

    def measure() -> "Evaluation":
        with console.progress(resumes=False) as progress:
            return evaluate_captions(opened, checkpoint, baseline, loaded, options, people, cache, progress)

    measured(
        run,
        json,
        "captions",
        caption_inputs(opened, checkpoint, baseline, loaded, options, people),
        measure,
        lambda evaluation: caption_figure(opened, split, evaluation.material, checkpoint),
        {"pairs": str(pairs), "model": model, "clip": clip or "", "captioner": captioner or MINICAPTIONER},
    )
