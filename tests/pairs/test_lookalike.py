"""Near copies of photos: what counts as one, and what becomes of them in a build."""

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from made_up import Album, build_small, hash_files
from PIL import Image, ImageEnhance

from sat2cap.pairs import Rules
from sat2cap.pairs.screening.near_duplicates import LOOK_ALIKE, difference_hash, within_hamming_distance


@cache
def scene(number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8))
    return small.resize((240, 180), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, quality: int = 90, form: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image.save(out, form, quality=quality)
    return out.getvalue()


def apart(one: bytes, other: bytes) -> int:
    first, second = difference_hash(one), difference_hash(other)
    assert first is not None
    assert second is not None
    return (first ^ second).bit_count()


@pytest.mark.parametrize("number", range(5))
def test_copies_look_alike_and_other_photos_do_not(number):
    photo = scene(number)
    same = jpeg(photo)
    assert apart(same, jpeg(photo, 40)) <= 2
    assert apart(same, jpeg(photo.resize((96, 72)))) <= 2
    assert apart(same, jpeg(photo, form="PNG")) <= 2
    assert apart(same, jpeg(ImageEnhance.Brightness(photo).enhance(0.8))) <= 2
    assert apart(same, jpeg(scene(number + 5))) > 12
    assert apart(same, jpeg(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT))) > 12


def test_what_shows_nothing_has_no_look():
    assert difference_hash(jpeg(Image.new("RGB", (90, 80), (3, 4, 9)))) is None
    assert difference_hash(b"no photo") is None
    assert difference_hash(jpeg(scene(1))[:300]) is None


@pytest.mark.parametrize("bits", [0, 1, 2, 5, 8])
def test_near_equal_is_what_comparing_all_with_all_gives(bits):
    rng = np.random.default_rng(bits)
    base = rng.integers(0, 2**63, 60).astype(np.uint64)
    looks = base[rng.integers(0, 60, 700)]
    for _ in range(6):
        flips = rng.integers(0, 64, 700).astype(np.uint64)
        looks = np.where(rng.random(700) < 0.5, looks ^ (np.uint64(1) << flips), looks)
    user = rng.integers(0, 9, 700)
    place = rng.uniform(0, 0.06, (700, 2))
    expected = np.zeros(700, bool)
    for late in range(700):
        near = (np.abs(place[:late] - place[late]) < 0.01).all(-1) | (user[:late] == user[late])
        expected[late] = (near & (np.bitwise_count(looks[:late] ^ looks[late]) <= bits)).any()
    assert (within_hamming_distance(looks, user, place, bits) == expected).all()
    assert 0 < expected.sum() < 700


@dataclass(frozen=True)
class Bursts(Album):
    """Every user's photos in threes that show the same."""

    def read_image(self, photo):
        number = int(photo.key[1:])
        if photo.key.endswith(self.gone):
            return super().read_image(photo)
        return jpeg(scene(number // 15 * 5 + number % 5), 90 - number % 3)


def test_of_photos_that_look_alike_the_earliest_is_kept(tmp_path):
    rules = Rules(look_alike_bits=2)
    made = build_small(tmp_path / "one", Bursts(), rules=rules)
    plain = build_small(tmp_path / "plain", Bursts())
    assert made.manifest["funnel"]["dropped"][LOOK_ALIKE] == len(plain.index) - len(made.index) > 10
    numbers = sorted(int(key[1:]) for key in made.index.key)
    groups = [(number // 15, number % 5) for number in numbers]
    assert len(groups) == len(set(groups))
    planned = sorted(int(key[1:]) for key in plain.index.key)
    first = {}
    for number in planned:  # later numbers are later moments
        first.setdefault((number // 15, number % 5), number)
    assert numbers == sorted(first.values())
    assert not (made.path / "looks").exists()


def test_a_stopped_comparison_goes_on(tmp_path):
    def stop(stage, done, total):
        if stage == "comparing photos" and done:
            raise KeyboardInterrupt

    rules = Rules(look_alike_bits=2)
    with pytest.raises(KeyboardInterrupt):
        build_small(tmp_path / "pairs", Bursts(), rules=rules, progress=stop)
    assert len(list((tmp_path / "pairs" / "looks").iterdir())) == 1
    made = build_small(tmp_path / "pairs", Bursts(), rules=rules)
    assert hash_files(made.path) == hash_files(build_small(tmp_path / "whole", Bursts(), rules=rules).path)
