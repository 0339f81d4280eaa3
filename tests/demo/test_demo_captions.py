"""Captions of the demo: the figures are those of the evaluation, the marks those of the planet's truth."""

import re
from dataclasses import replace

import numpy as np
import pytest
from conftest import Ran

from sat2cap.atlas import open_atlas
from sat2cap.catalogue import open_imagery, resolve_captioner, resolve_model
from sat2cap.demo.captions import CAPTION_MOMENTS, caption_likely_places, caption_metrics
from sat2cap.demo.metrics import EvaluationInputs
from sat2cap.evaluation.captions.evaluation import evaluate_captions
from sat2cap.evaluation.captions.options import CaptionOptions
from sat2cap.evaluation.metric import metric_values
from sat2cap.evaluation.miniworld.maps import Country
from sat2cap.geo.grid import LONLAT, transformer
from sat2cap.miniworld.concepts import CONCEPT_NAMES, CONCEPTS
from sat2cap.miniworld.scenes.statements import stated_concepts
from sat2cap.miniworld.surroundings import local_times, sample_surroundings
from sat2cap.miniworld.truth import prepare_ground_truth
from sat2cap.miniworld.world import World
from sat2cap.pairs import open_pairs
from sat2cap.query.points import embeddings_at


@pytest.fixture(scope="module")
def inputs(ran: Ran) -> EvaluationInputs:
    trained, clip = resolve_model(ran.out / "train" / "checkpoint"), resolve_model(str(ran.plan.init))
    linear = resolve_model(ran.out / "linear" / "checkpoint")

    def open_countries(kind: str) -> list[Country]:
        countries = []
        for place in ran.plan.countries:
            atlas = open_atlas(ran.out / "atlas" / f"{place.name}{kind}.zarr")
            countries.append(
                Country(place.name, atlas, prepare_ground_truth(World(2), atlas.grid), place.south)
            )
        return countries

    captioner = resolve_captioner(ran.plan.captioner, clip)
    countries = [open_countries(kind) for kind in ("", "-linear", "-clip")]
    return EvaluationInputs(trained, linear, clip, *countries, captioner)


def test_figures_are_those_of_the_command_line(ran: Ran, inputs: EvaluationInputs) -> None:
    pairs, options = open_pairs(ran.out / "heldout"), CaptionOptions(gallery=20, draws=0)
    whole = metric_values(
        evaluate_captions(pairs, inputs.trained, inputs.clip, inputs.captioner, options).metrics
    )
    of_demo = {n.removeprefix("captions."): v for n, v in ran.figures.items() if n.startswith("captions.")}
    assert of_demo.pop("pairs") == 20
    assert {"truth.stated", "clip.truth.stated", "months.changed"} <= set(of_demo)
    assert of_demo == pytest.approx({name: whole[name] for name in of_demo})


def test_marks_are_those_of_the_truth(ran: Ran, inputs: EvaluationInputs) -> None:
    captioned = caption_likely_places(ran.plan, inputs, open_imagery("miniworld:2"))
    assert [word.place for word in captioned] == ["north", "south"]
    seen = set()
    for words, country in zip(captioned, inputs.countries, strict=True):
        truth = country.truth(ran.plan.caption_prompts[0]).reshape(country.atlas.grid.shape)
        x, y = transformer(LONLAT, country.atlas.grid.crs).transform(words.lon, words.lat)
        col, row = ~country.atlas.grid.affine @ (x, y)
        assert truth[int(row), int(col)] > 0.9 * truth.max()
        rows = [
            embeddings_at(country.atlas, inputs.trained, [(words.lon, words.lat)], when)
            for when in CAPTION_MOMENTS
        ]
        said = inputs.captioner.captions(np.concatenate(rows))
        assert [caption.text for caption in words.captions[:-1]] == said
        assert [caption.when for caption in words.captions] == [
            "January, 12:00", "July, 12:00", "July, 08:00", "July, 23:00", "",
        ]  # fmt: skip
        here = sample_surroundings(np.array([words.lon]), np.array([words.lat]), World(2).seed)
        for caption, when in zip(words.captions[:-1], CAPTION_MOMENTS, strict=True):
            m = local_times(here.lat, np.array([when.month]), np.array([when.day]), np.array([when.hour]))
            can = [
                CONCEPTS[CONCEPT_NAMES.index(n)].probability(here, m)[0] >= 0.05
                for n in stated_concepts(caption.text)
            ]
            assert caption.true == (all(can) if can else None)
            seen.add(caption.true)
    assert len(seen) > 1, "not all alike"


def test_the_page_shows_them(ran: Ran) -> None:
    html = (ran.out / "index.html").read_text()
    part = html[html.index("A place in words") : html.index("Finding each other")]
    assert len(re.findall(r'class="said"', part)) == 2 * 5
    assert part.count("data:image/jpeg") == 2
    assert 'data-figure="captions.truth.chance"' in part or "captions.truth.chance" not in ran.figures


def test_without_a_captioner_there_are_none(ran: Ran, inputs: EvaluationInputs) -> None:
    without = replace(inputs, captioner=None)
    assert caption_likely_places(ran.plan, without, open_imagery("miniworld:2")) == []
    assert list(caption_metrics(ran.plan, without, open_pairs(ran.out / "heldout"))) == []
