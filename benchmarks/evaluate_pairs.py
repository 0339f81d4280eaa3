"""What whole evaluations of pairs cost at 10,000 of them, and what each step of captions does.

    python benchmarks/evaluate_pairs.py DEMO OUT.json [PAIRS] [retrieval] [clusters] [captions] [beams]

DEMO is a finished demo: its model is measured beside the miniature CLIP, on pairs of its other planet. These
are built and embedded into a folder beside OUT.json, once, in minutes. Seconds of processor time, one thread;
each part runs in a process of its own, so that its peak memory is its own.
"""

import multiprocessing
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import TypeVar

from sat2cap.files import write_json

Figures = dict[str, float]
T = TypeVar("T")

WORLD, PHOTOS_A_PAIR = 2, 1.04
"""The demo's other planet, and how many photos make a pair: some have no place or time."""


class Inputs:
    """The pairs and models of one run."""

    def __init__(self, demo: Path, work: Path, count: int) -> None:
        import torch

        from sat2cap.catalogue import resolve_captioner, resolve_model
        from sat2cap.pairs import open_pairs

        torch.set_num_threads(1)
        self.pairs = open_pairs(work / f"pairs-{count}")
        self.model, self.clip = resolve_model(demo / "train" / "checkpoint"), resolve_model("miniclip")
        self.captioner = resolve_captioner(None, self.model)
        self.count, self.cache = count, work / "embeddings"


def build_missing_pairs(work: Path, count: int) -> None:
    """Build the pairs, if they are not there yet."""
    from sat2cap.catalogue import open_imagery, open_photos
    from sat2cap.demo.plan import DemoPlan
    from sat2cap.pairs import SplitPlan, build_pairs

    uri = f"miniworld:{WORLD}"
    build_pairs(
        open_photos(uri, int(PHOTOS_A_PAIR * count) + 100),
        open_imagery(uri),
        work / f"pairs-{count}",
        patch=DemoPlan().patch,
        split=SplitPlan("random", fractions=(0.0, 0.0, 1.0)),
        per_shard=500,
        workers=2,
    )


def time_call(work: Callable[[], T]) -> tuple[float, T]:
    """Return the processor seconds of a call, and its result."""
    start_s = process_time()
    result = work()
    return process_time() - start_s, result


def measure_embedding(inputs: Inputs) -> Figures:
    """Time embedding photos and patches by both models; the other parts read the stored embeddings."""
    from sat2cap.evaluation import embed_gallery

    models = {"model": inputs.model, "clip": inputs.clip}
    embed = partial(embed_gallery, inputs.pairs, gallery=inputs.count, cache=inputs.cache)
    return {f"embed.{name}.seconds": time_call(partial(embed, model))[0] for name, model in models.items()}


def measure_retrieval(inputs: Inputs) -> Figures:
    """Time table 1 with all baselines, intervals and the metrics of one place at two times."""
    from sat2cap.evaluation import TableOptions, evaluate_table

    options = TableOptions(gallery=inputs.count)
    models = {"model": inputs.model}
    return time_step(
        "retrieval", inputs, lambda: evaluate_table(inputs.pairs, models, inputs.clip, options, inputs.cache)
    )


def measure_clusters(inputs: Inputs) -> Figures:
    """Time figure 4 up to a thousand clusters, with three seeds and both models."""
    from sat2cap.evaluation import ClusterOptions, embed_gallery, evaluate_clusters

    spaces = {
        name: embed_gallery(inputs.pairs, model, gallery=inputs.count, cache=inputs.cache).overhead
        for name, model in (("sat2cap", inputs.model), ("clip", inputs.clip))
    }
    return time_step("clusters", inputs, lambda: evaluate_clusters(spaces, ClusterOptions((10, 100, 1000))))


def measure_captions(inputs: Inputs) -> Figures:
    """Time table 2 and figure 6 with greedy captions, and each of their steps by itself."""
    from sat2cap.evaluation import (
        CaptionedPairs,
        CaptionOptions,
        embed_gallery,
        evaluate_captions,
        measure_caption_truth,
    )
    from sat2cap.evaluation.captions import agreement
    from sat2cap.report import caption_figure

    options = CaptionOptions(gallery=inputs.count)
    seconds, evaluated = time_call(
        lambda: evaluate_captions(
            inputs.pairs, inputs.model, inputs.clip, inputs.captioner, options, None, inputs.cache
        )
    )
    figures = pair_rates("captions", inputs, seconds)
    drawing, _ = time_call(lambda: caption_figure(inputs.pairs, "test", evaluated.material, inputs.model))
    gallery = embed_gallery(inputs.pairs, inputs.model, gallery=inputs.count, cache=inputs.cache)
    captioning, texts = time_call(lambda: inputs.captioner.captions(gallery.overhead))
    people_seconds, place = time_call(lambda: CaptionedPairs.of(inputs.pairs, "test", gallery, None))
    embed = agreement.cache_embeddings(inputs.model.embed_text)
    steps: dict[str, Callable[[], object]] = {
        "bleu": lambda: agreement.bleu(texts, place.written),
        "rouge_l": lambda: agreement.rouge_l(texts, place.written),
        "cider": lambda: agreement.cider(texts, place.written),
        "clip_text": lambda: agreement.nearest_cosine(texts, place.written, embed),
        "truth": lambda: list(measure_caption_truth(texts, place)),
    }
    figures |= pair_rates("captions.figure", inputs, drawing) | pair_rates(
        "captions.one_row", inputs, captioning
    )
    figures |= pair_rates("captions.people", inputs, people_seconds)
    for name, step in steps.items():
        figures |= pair_rates(f"captions.{name}.against_six", inputs, time_call(step)[0])
    return figures


def measure_beams(inputs: Inputs) -> Figures:
    """Time one row of captions by five beams, the default of `sat2cap caption`."""
    from sat2cap.evaluation import embed_gallery

    gallery = embed_gallery(inputs.pairs, inputs.model, gallery=inputs.count, cache=inputs.cache)
    return time_step(
        "captions.one_row.5_beams", inputs, lambda: inputs.captioner.captions(gallery.overhead, beams=5)
    )


def time_step(name: str, inputs: Inputs, work: Callable[[], object]) -> Figures:
    """Return the seconds of a call, and the pairs per second."""
    return pair_rates(name, inputs, time_call(work)[0])


def pair_rates(name: str, inputs: Inputs, seconds: float) -> Figures:
    """Return seconds and pairs per second as figures."""
    return {f"{name}.seconds": seconds, f"{name}.pairs_per_second": inputs.count / max(seconds, 1e-9)}


PARTS = {
    "embed": measure_embedding,
    "retrieval": measure_retrieval,
    "clusters": measure_clusters,
    "captions": measure_captions,
    "beams": measure_beams,
}


def run_part(part: str, demo: Path, work: Path, count: int) -> Figures:
    """Return the figures of one part, with the peak memory of this process."""
    figures = PARTS[part](Inputs(demo, work, count))
    return figures | {f"{part}.peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    demo, out = Path(sys.argv[1]), Path(sys.argv[2])
    count = next((int(word) for word in sys.argv[3:] if word.isdecimal()), 10_000)
    parts = [word for word in sys.argv[3:] if not word.isdecimal()] or list(PARTS)
    work = out.with_suffix("")
    build_missing_pairs(work, count)
    figures: Figures = {"pairs": float(count)}
    for name in dict.fromkeys(["embed", *parts]):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            part_figures = pool.apply(run_part, (name, demo, work, count))
        for key, value in part_figures.items():
            print(f"{key}: {value:.4g}", flush=True)
        figures |= part_figures
    write_json(out, figures)
