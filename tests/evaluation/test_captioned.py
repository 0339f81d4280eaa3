"""What captions state against the truth, counted by hand; and months."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import Bootstrap
from sat2cap.evaluation.captions.evaluation import read_captions
from sat2cap.evaluation.captions.options import CaptionOptions
from sat2cap.evaluation.miniworld.captions import (
    JANUARY,
    JULY,
    WINTER,
    CaptionedPairs,
    WeightedMean,
    generate_captions_at,
    measure_caption_truth,
    month_metrics,
)
from sat2cap.geo.when import When
from sat2cap.miniworld.concepts import CONCEPT_NAMES, CONCEPTS
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.surroundings import local_times, sample_surroundings
from sat2cap.miniworld.world import World

PHOTOS = MiniPhotos(World(5), 200)
GOOD = [
    photo
    for photo in PHOTOS.photos()
    if photo.lon and photo.lat and photo.taken and 2000 < photo.taken.year < 2100
]
SOME = [photo for photo in GOOD if photo.lat is not None][:60]
LON, LAT = np.array([p.lon for p in SOME]), np.array([p.lat for p in SOME])
TAKEN = tuple(When.from_datetime(p.taken) for p in SOME)
PLANET = sample_surroundings(LON, LAT, World(5).seed)


def captioned() -> CaptionedPairs:
    return CaptionedPairs([photo.key for photo in SOME], LAT, TAKEN, [], PLANET)


def chance(name: str, number: int) -> float:
    """Of one concept at one photo, asked alone."""
    photo = SOME[number]
    here = sample_surroundings(np.array([photo.lon]), np.array([photo.lat]), World(5).seed)
    when = TAKEN[number]
    m = local_times(here.lat, np.array([when.month]), np.array([when.day]), np.array([when.hour]))
    return float(CONCEPTS[CONCEPT_NAMES.index(name)].probability(here, m)[0])


def test_the_truth_of_captions_is_that_of_their_concepts() -> None:
    texts = ["fog and a river" if number % 2 else "nothing special" for number in range(len(SOME))]
    texts[0] = "snow"
    figures = dict(measure_caption_truth(texts, captioned()))
    stated = [("snow", 0)] + [(name, n) for n in range(1, len(SOME), 2) for name in ("fog", "river")]
    chances = [chance(name, number) for name, number in stated]
    assert figures["truth.chance"].value() == pytest.approx(np.mean(chances), abs=1e-5)
    assert figures["truth.possible"].value() == pytest.approx(np.mean(np.array(chances) >= 0.05))
    assert figures["truth.stated"].value() == pytest.approx(len(stated) / len(SOME))
    first = np.zeros(len(SOME))
    first[0] = 2.0
    assert figures["truth.chance"].value(first) == pytest.approx(chances[0], abs=1e-6), "weighed"


def test_photos_own_captions_are_true() -> None:
    texts = [some[0] for some in PHOTOS.captions(SOME)]
    figures = dict(measure_caption_truth(texts, captioned()))
    assert figures["truth.possible"].value() > 0.95
    shuffled = dict(measure_caption_truth(texts[30:] + texts[:30], captioned()))
    assert shuffled["truth.possible"].value() < 0.7 * figures["truth.possible"].value()


def test_nothing_stated_is_not_a_number_and_no_planet_no_truth() -> None:
    assert np.isnan(WeightedMean(np.zeros(3), np.zeros(3)).value())
    plain = CaptionedPairs(["a"], LAT[:1], TAKEN[:1], [], None)
    assert list(measure_caption_truth(["snow"], plain)) == []


def test_months_are_compared_place_by_place() -> None:
    """With a captioner that reads the sign of the offset: snow in the half that has winter."""

    def offset(lat: np.ndarray, lon: np.ndarray, year: int, month: int, *rest: float) -> np.ndarray:
        cold = np.where((np.asarray(lat) > 0) == (month == 1), 1.0, -1.0)
        return np.stack([cold, np.zeros(len(cold))], 1).astype(np.float32)

    gallery = SimpleNamespace(overhead=np.zeros((len(SOME), 2), np.float32), lat=LAT, lon=LON)
    speaker = SimpleNamespace(
        captions=lambda rows, beams, progress: [
            "Fresh snow" if row[0] > 0 else "golden wheat" for row in rows
        ]
    )
    model = SimpleNamespace(dynamic_offset=offset)
    texts = {when: generate_captions_at(gallery, model, speaker, when) for when in (JANUARY, JULY)}
    found, shown = month_metrics(texts, captioned(), Bootstrap(np.arange(len(SOME)), 30))
    values = {figure.name: figure.value for figure in found}
    assert (values["months.changed"], values["months.restated"]) == (1, 1)
    assert (values["winter.north.01"], values["winter.north.07"], values["winter.north.lead"]) == (1, 0, 1)
    assert (values["winter.south.01"], values["winter.south.07"], values["winter.south.lead"]) == (0, 1, 1)
    assert values["months.truth_lead"] > 0, "snow and wheat have their months"
    assert len(shown["rows"]) == 8
    assert (JANUARY.month, JULY.month) == (1, 7)


@pytest.mark.parametrize(
    ("text", "wintry"),
    [
        ("a Snowboarder on skis", True),
        ("skiers", True),
        ("a frozen lake", True),
        ("ice on the river", True),
        ("a woman in a skirt", False),
        ("a boy with an ice cream", False),
        ("a cake with frosting", False),
        ("nice weather", False),
    ],
)
def test_words_of_winter(text: str, wintry: bool) -> None:
    assert bool(WINTER.search(text.lower())) is wintry


def test_peoples_captions_are_read_by_key(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text(
        '{"key": "a", "caption": "one"}\n\n{"key": 7, "captions": ["two", "three"]}\n'
        '{"key": "a", "caption": "four"}\n'
    )
    assert read_captions(path) == {"a": ["one", "four"], "7": ["two", "three"]}
    for wrong in ('{"key": "a"}', '{"key": "a", "captions": "one"}', '{"key": "a", "captions": []}', "[1]"):
        path.write_text(wrong)
        with pytest.raises(InputError, match="cannot be read") as caught:
            read_captions(path)
        assert "\n" not in str(caught.value)


def test_captions_of_some_pairs_only_are_refused() -> None:
    index = pd.DataFrame({"split": "test", "key": ["a", "b", "c"], "source": "elsewhere"})
    three = np.arange(3)
    gallery = SimpleNamespace(row=three, lat=LAT[:3], lon=LON[:3], taken=TAKEN[:3])
    pairs = SimpleNamespace(index=index)
    with pytest.raises(InputError, match="2 of 3 pairs have no caption of people, 'b' first"):
        CaptionedPairs.of(pairs, "test", gallery, {"a": ["one"]})
    assert CaptionedPairs.of(pairs, "test", gallery, None).written == []
    whole = CaptionedPairs.of(pairs, "test", gallery, {"c": ["3"], "b": ["2"], "a": ["1"]})
    assert whole.written == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize("encoders", [("here/e5", "there/e5"), ("somewhere/cider",)])
def test_encoders_need_names_of_their_own(encoders: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="two meanings; rename it"):
        CaptionOptions(encoders=encoders)


def test_a_layer_of_no_model_is_refused() -> None:
    with pytest.raises(InputError, match="--bert-layer 3"):
        CaptionOptions(bert_layer=3)
