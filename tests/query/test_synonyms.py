"""Which texts count as saying the same, on embeddings of the published CLIP ViT-B/32."""

import json
from pathlib import Path

import numpy as np
import pytest
from made_model import unit

from sat2cap.query.chances import _are_synonyms

VECTORS = Path(__file__).parents[2].parent / "shared" / "data" / "clip" / "embeddings"
pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason="../shared/data/clip/embeddings is not here")


def read_vectors(folder: str) -> np.ndarray:
    return unit(np.stack([np.load(path).ravel() for path in sorted((VECTORS / folder).glob("*.npy"))]))


def test_texts_of_different_scenes_are_rivals_over_real_photos() -> None:
    cosines = read_vectors("unsplash_1000") @ read_vectors("text").T
    same = [_are_synonyms(column, cosines) for column in cosines.T]
    np.testing.assert_array_equal(same, np.eye(len(same), dtype=bool))


@pytest.fixture(scope="module")
def objects() -> dict[str, np.ndarray]:
    """Scores of 1,203 scenes, one of each kind of object, for the text of each kind."""
    texts = unit(np.load(VECTORS / "lvis_text_vitb32.npy").astype(np.float32))
    gap = read_vectors("unsplash_1000").mean(0) - read_vectors("text").mean(0)
    names = json.loads((VECTORS / "lvis_text_vitb32.names.json").read_text())
    return dict(zip(names, (unit(texts + gap) @ texts.T).T, strict=True))


def test_words_for_one_thing_are_no_rivals_and_most_other_things_are(objects: dict[str, np.ndarray]) -> None:
    cosines = np.stack(list(objects.values()), axis=1)
    for one, other in (("a alcohol", "a liquor"), ("a horse", "a pony"), ("a cushion", "a pillow")):
        assert _are_synonyms(objects[one], objects[other][:, None]).all()
    for one, other in (("a boat", "a horse"), ("a pillow", "a car (automobile)"), ("a antenna", "a apple")):
        assert not _are_synonyms(objects[one], objects[other][:, None]).any()
    shares = [_are_synonyms(objects[name], cosines).mean() for name in list(objects)[::100]]
    assert np.mean(shares) < 0.02
