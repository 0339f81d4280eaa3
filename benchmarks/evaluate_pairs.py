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

Made = dict[str, float]
T = TypeVar("T")

WORLD, PHOTOS_A_PAIR = 2, 1.04
"""The demo's other planet, and how many photos make a pair: some have no place or time."""


class Given:
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


def build(work: Path, count: int) -> None:
    """The pairs, if they are not there yet."""
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


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of processor time, and what came of them."""
    began = process_time()
    found = work()
    return process_time() - began, found


def embed_part(given: Given) -> Made:
    """Photos and patches of both models; other parts read what this one keeps."""
    from sat2cap.evaluation import embed_gallery

    both = {"model": given.model, "clip": given.clip}
    embed = partial(embed_gallery, given.pairs, gallery=given.count, cache=given.cache)
    return {f"embed.{name}.seconds": timed(partial(embed, model))[0] for name, model in both.items()}


def retrieval_part(given: Given) -> Made:
    """Table 1 with all its baselines, intervals and the figures of the same place at two times."""
    from sat2cap.evaluation import TableOptions, evaluate_table

    options = TableOptions(gallery=given.count)
    models = {"model": given.model}
    return whole(
        "retrieval", given, lambda: evaluate_table(given.pairs, models, given.clip, options, given.cache)
    )


def clusters_part(given: Given) -> Made:
    """Figure 4 up to a thousand clusters, three seeds, both models."""
    from sat2cap.evaluation import ClusterOptions, embed_gallery, evaluate_clusters

    spaces = {
        name: embed_gallery(given.pairs, model, gallery=given.count, cache=given.cache).overhead
        for name, model in (("sat2cap", given.model), ("clip", given.clip))
    }
    return whole("clusters", given, lambda: evaluate_clusters(spaces, ClusterOptions((10, 100, 1000))))


def captions_part(given: Given) -> Made:
    """Table 2 and figure 6, greedy, and each of their steps by itself."""
    from sat2cap.evaluation import (
        CaptionedPairs,
        CaptionOptions,
        embed_gallery,
        evaluate_captions,
        measure_caption_truth,
    )
    from sat2cap.evaluation.captions import agreement
    from sat2cap.report import caption_figure

    options = CaptionOptions(gallery=given.count)
    seconds, found = timed(
        lambda: evaluate_captions(
            given.pairs, given.model, given.clip, given.captioner, options, None, given.cache
        )
    )
    made = per_pair("captions", given, seconds)
    drawing, _ = timed(lambda: caption_figure(given.pairs, "test", found.material, given.model))
    gallery = embed_gallery(given.pairs, given.model, gallery=given.count, cache=given.cache)
    captioning, texts = timed(lambda: given.captioner.captions(gallery.overhead))
    people, place = timed(lambda: CaptionedPairs.of(given.pairs, "test", gallery, None))
    embed = agreement.cache_embeddings(given.model.embed_text)
    steps: dict[str, Callable[[], object]] = {
        "bleu": lambda: agreement.bleu(texts, place.written),
        "rouge_l": lambda: agreement.rouge_l(texts, place.written),
        "cider": lambda: agreement.cider(texts, place.written),
        "clip_text": lambda: agreement.nearest_cosine(texts, place.written, embed),
        "truth": lambda: list(measure_caption_truth(texts, place)),
    }
    made |= per_pair("captions.figure", given, drawing) | per_pair("captions.one_row", given, captioning)
    made |= per_pair("captions.people", given, people)
    for name, step in steps.items():
        made |= per_pair(f"captions.{name}.against_six", given, timed(step)[0])
    return made


def beams_part(given: Given) -> Made:
    """One row of captions by five beams, which `sat2cap caption` takes unasked."""
    from sat2cap.evaluation import embed_gallery

    gallery = embed_gallery(given.pairs, given.model, gallery=given.count, cache=given.cache)
    return whole(
        "captions.one_row.5_beams", given, lambda: given.captioner.captions(gallery.overhead, beams=5)
    )


def whole(name: str, given: Given, work: Callable[[], object]) -> Made:
    """One thing to do, timed."""
    return per_pair(name, given, timed(work)[0])


def per_pair(name: str, given: Given, seconds: float) -> Made:
    """Seconds, and pairs a second."""
    return {f"{name}.seconds": seconds, f"{name}.pairs_per_second": given.count / max(seconds, 1e-9)}


PARTS = {
    "embed": embed_part,
    "retrieval": retrieval_part,
    "clusters": clusters_part,
    "captions": captions_part,
    "beams": beams_part,
}


def measured(part: str, demo: Path, work: Path, count: int) -> Made:
    """One part, with the peak memory of its process."""
    found = PARTS[part](Given(demo, work, count))
    return found | {f"{part}.peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    demo, out = Path(sys.argv[1]), Path(sys.argv[2])
    count = next((int(word) for word in sys.argv[3:] if word.isdecimal()), 10_000)
    parts = [word for word in sys.argv[3:] if not word.isdecimal()] or list(PARTS)
    work = out.with_suffix("")
    build(work, count)
    figures: Made = {"pairs": float(count)}
    for name in dict.fromkeys(["embed", *parts]):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measured, (name, demo, work, count))
        for key, value in found.items():
            print(f"{key}: {value:.4g}", flush=True)
        figures |= found
    write_json(out, figures)
