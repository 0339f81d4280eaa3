"""A cell's bytes depend on its own patch alone; an atlas goes on with the numbers it began with."""

from dataclasses import replace

import numpy as np
import pytest
from small_model import DIM, PIXELS, Ground, grid, model

from sat2cap.embedding import plan_atlas
from sat2cap.embedding.fixed_batches import BATCH_PATCHES, embed_in_fixed_batches
from sat2cap.model.image_embedder import BATCH


def plan(version=2):
    return plan_atlas(grid(3, 3), np.ones((3, 3), bool), Ground(), model(), numbers_version=version)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_every_batch_has_one_shape_and_gives_what_was_asked_for(count):
    checkpoint, shapes = model(), []
    checkpoint.overhead.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(len(kwargs["pixel_values"] if kwargs else args[0])),
        with_kwargs=True,
    )
    rgb = np.random.default_rng(0).integers(0, 256, (count, PIXELS, PIXELS, 3), np.uint8)
    got = embed_in_fixed_batches(plan(), checkpoint, rgb)
    assert set(shapes) <= {BATCH_PATCHES}
    assert BATCH_PATCHES == BATCH
    assert len(shapes) == -(-count // BATCH_PATCHES)
    assert got.shape == (count, DIM)
    np.testing.assert_allclose(got, checkpoint.embed_overhead(rgb), atol=1e-5)


def test_neighbours_change_no_bit_of_an_embedding():
    rgb = np.random.default_rng(1).integers(0, 256, (70, PIXELS, PIXELS, 3), np.uint8)
    together = embed_in_fixed_batches(plan(), model(), rgb)
    for cells in (slice(5, 6), slice(60, 70), slice(3, 70)):
        np.testing.assert_array_equal(embed_in_fixed_batches(plan(), model(), rgb[cells]), together[cells])


def test_the_version_of_the_numbers_is_part_of_the_identity():
    old, new = plan(1), plan(2)
    assert old.identity != new.identity
    assert (old.model["numbers"], new.model["numbers"]) == (1, 2)
    before_versions = replace(old, model={k: v for k, v in old.model.items() if k != "numbers"})
    assert before_versions.identity == old.identity  # an atlas of an earlier release is still its own
    assert {"device", "processor", "torch", "numpy", "sat2cap"} <= set(new.model["computing"])
