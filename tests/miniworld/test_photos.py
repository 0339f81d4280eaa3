"""Photos of the planet: where they are taken, what is wrong with their records, what is in them."""

import io
from datetime import datetime

import numpy as np
import pytest
from made_up import screen_photos
from PIL import Image
from places_to_look import random_positions

from sat2cap.miniworld.concepts import CONCEPT_NAMES
from sat2cap.miniworld.photographers import LonLatBounds
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.planet.land import sample_terrain, to_web_mercator
from sat2cap.miniworld.scenes.captions import write_caption
from sat2cap.miniworld.scenes.rendering import PHOTO_PIXELS, render_photo
from sat2cap.miniworld.scenes.scene import Scene
from sat2cap.miniworld.world import World
from sat2cap.pairs import Rules
from sat2cap.photos.protocol import Photo

COUNT = 6_000
SOURCE = MiniPhotos(World(7), COUNT)


@pytest.fixture(scope="module")
def records() -> list[Photo]:
    return list(SOURCE.photos())


def test_same_seed_same_photos_other_seed_others() -> None:
    first, again, other, second = (
        MiniPhotos(World(number), 40, seed=seed) for number, seed in ((7, 0), (7, 0), (8, 0), (7, 1))
    )
    records = list(first.photos())
    assert records == list(again.photos())
    assert first.images(records[:8]) == again.images(records[:8])
    assert first.captions(records, per_photo=2) == again.captions(records, per_photo=2)
    for source in (other, second):
        elsewhere = list(source.photos())
        same = [a.lon == b.lon for a, b in zip(records, elsewhere, strict=True) if a.lon and b.lon]
        assert np.mean(same) < 0.5  # people set out alike; land decides where they stop
        assert first.images(records[:8]) != source.images(elsewhere[:8])


def test_a_longer_list_begins_with_the_shorter(records: list[Photo]) -> None:
    few = MiniPhotos(World(7), 30)
    assert list(few.photos()) == records[:30]
    assert few.images(records[5:7]) == SOURCE.images(records[5:7])
    assert [SOURCE.read_image(record) for record in records[5:7]] == SOURCE.images(records[5:7])
    assert len(records) == len(SOURCE) == COUNT
    assert len({record.key for record in records}) == COUNT


def test_records_are_wrong_as_often_as_said_and_screening_finds_them(records: list[Photo]) -> None:
    wrong = {
        "no place": (0.012, sum(p.lon is None and p.lat is None for p in records)),
        "null island": (0.006, sum(p.lon == 0 and p.lat == 0 for p in records)),
        "no date": (0.010, sum(p.taken is None for p in records)),
        "1905": (0.008, sum(p.taken is not None and p.taken.year == 1905 for p in records)),
        "2105": (0.006, sum(p.taken is not None and p.taken.year == 2105 for p in records)),
    }
    for reason, (share, count) in wrong.items():
        assert abs(count - share * COUNT) < 4 * np.sqrt(share * COUNT), reason
    usable, funnel = screen_photos(records, Rules(latest=datetime(2026, 1, 1)))
    implausible = wrong["1905"][1] + wrong["2105"][1]
    assert funnel.dropped["implausible date"] == implausible
    assert {r: funnel.dropped[r] for r in ("no place", "null island", "no date")} == {
        r: wrong[r][1] for r in ("no place", "null island", "no date")
    }
    assert set(funnel.dropped) <= {"no place", "null island", "no date", "implausible date", "duplicate"}
    assert len(usable) > 0.94 * COUNT
    assert all(p.taken is not None and 2008 <= p.taken.year <= 2024 for p in usable)


def places_of(records: list[Photo]) -> tuple[np.ndarray, np.ndarray]:
    usable, _ = screen_photos(records)
    return np.array([p.lon for p in usable], float), np.array([p.lat for p in usable], float)


def built(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Whether streets of houses, or more, stand at places."""
    x, y = to_web_mercator(lon, lat)
    return (
        sample_terrain(x[:, None, None], y[:, None, None], World(7).seed, ("urban",))["urban"].ravel() > 0.28
    )


def test_photographers_gather_in_towns(records: list[Photo]) -> None:
    photos, area = built(*places_of(records)).mean(), built(*random_positions(4_000)).mean()
    assert 0 < area < 0.08
    assert photos > 4 * area


def test_photographers_stay_in_bounds_and_sleep_at_night(records: list[Photo]) -> None:
    bounds = LonLatBounds(10, 40, 12, 42)
    lon, lat = places_of(list(MiniPhotos(World(7), 200, bounds=bounds).photos()))
    assert bounds.west <= lon.min() <= lon.max() <= bounds.east
    assert bounds.south <= lat.min() <= lat.max() <= bounds.north
    hours = np.array([p.taken.hour for p in records if p.taken])
    assert ((hours >= 11) & (hours < 17)).mean() > 2 * ((hours < 6).mean())
    assert len(np.unique(hours)) == 24
    assert len({p.taken.month for p in records if p.taken}) == 12


def test_wrong_records_still_have_their_true_picture(records: list[Photo]) -> None:
    lost = [p for p in records if p.lon is None][:5]
    for data in SOURCE.images(lost):
        image = Image.open(io.BytesIO(data))
        assert image.format == "JPEG"
        assert image.size == (PHOTO_PIXELS, PHOTO_PIXELS)
        assert np.asarray(image).std() > 10


def test_an_eager_photographer_shows_more() -> None:
    plain, eager = (MiniPhotos(World(7), 300, eagerness=e) for e in (1.0, 1.7))
    a, b = ([s.shown for s in m.scenes(list(m.photos()))] for m in (plain, eager))
    assert all(few <= many for few, many in zip(a, b, strict=True))
    assert sum(map(len, b)) > 1.1 * sum(map(len, a))


def picture(scene: Scene) -> np.ndarray:
    return np.asarray(render_photo(scene, np.random.default_rng(0)), np.float32)


def test_every_concept_can_be_seen_in_a_picture() -> None:
    """Showing one thing more changes the picture of an empty place, whatever the thing."""
    empty = Scene(frozenset(), 0, 1, 1, 0.2, False, 1.0, 0.0, "summer", False)
    before = picture(empty)
    companions = {"apples": "orchard", "blossom": "orchard", "sunset": "sea"}
    for name in CONCEPT_NAMES:
        base = frozenset({companions[name]} if name in companions else ())
        other = before if not base else picture(Scene(base, 0, 1, 1, 0.2, False, 1.0, 0.0, "summer", False))
        after = picture(Scene(base | {name}, 0, 1, 1, 0.2, False, 1.0, 0.0, "summer", False))
        assert (np.abs(after - other).max(-1) > 20).mean() > 0.004, name


def test_an_empty_place_has_a_caption() -> None:
    empty = Scene(frozenset(), 0, 1, 1, 0.2, False, 1.0, 0.0, "", False)
    assert write_caption(empty, np.random.default_rng(0)).strip()
