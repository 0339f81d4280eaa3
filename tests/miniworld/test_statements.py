"""From a caption's words to the concepts it states."""

import numpy as np

from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.scenes.captions import CONCEPT_PHRASES, write_caption
from sat2cap.miniworld.scenes.statements import stated_concepts
from sat2cap.miniworld.world import World


def test_every_phrase_states_its_concept_alone() -> None:
    seen = 0
    for name, phrases in CONCEPT_PHRASES.items():
        for phrase in phrases:
            assert stated_concepts(phrase.format(water="blue", sand="black").upper() + "!") == {name}
            seen += 1
    assert seen > 300


def test_words_of_another_kind_state_nothing() -> None:
    assert stated_concepts("what a day, at night in winter") == frozenset()
    assert stated_concepts("a rocky coast and a red tractor by the sea") == {
        "cliffs",
        "harvest",
    } | stated_concepts("by the sea")


def test_what_people_write_is_in_their_photos() -> None:
    """The grammar writes of what is shown, so what a caption states must be in the scene."""
    source = MiniPhotos(World(3), 300)
    records = list(source.photos())
    wrong = said = 0
    for index, scene in enumerate(source.scenes(records)):
        text = write_caption(scene, np.random.default_rng(index))
        said += len(stated_concepts(text))
        wrong += len(stated_concepts(text) - scene.shown)
    assert said > 300
    assert wrong <= 0.01 * said, "but for phrases that run into each other"
