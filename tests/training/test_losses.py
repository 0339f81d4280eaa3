"""The losses against definitions written out in numpy, and the queue."""

import math

import numpy as np
import pytest
import torch

from sat2cap.training.losses import contrastive_loss, pair_masks
from sat2cap.training.queue import RingQueue


def unit(*shape: int, seed: int = 0) -> np.ndarray:
    """Rows of length 1, float32."""
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def by_hand(overhead: np.ndarray, ground: np.ndarray, queue: np.ndarray, scale: float, form: str) -> float:
    """Sums of exponentials as eq. 3 writes them, one sample after the other; `queue` `[K, D]`."""
    total = 0.0
    for i in range(len(overhead)):
        right = math.exp(scale * float(overhead[i] @ ground[i]))
        batch = sum(math.exp(scale * float(overhead[i] @ row)) for row in ground)
        extra = sum(math.exp(scale * float(overhead[i] @ row)) for row in queue)
        total -= math.log(right / ((right if form == "queue_only" else batch) + extra))
        if form == "symmetric":
            back = sum(math.exp(scale * float(row @ ground[i])) for row in overhead)
            total -= math.log(right / back)
    return total / len(overhead) / (2 if form == "symmetric" else 1)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in arrays]


@pytest.mark.parametrize("form", ["paper", "queue_only", "symmetric"])
def test_each_form_is_its_definition(form: str) -> None:
    overhead, ground, queue = unit(5, 7), unit(5, 7, seed=1), unit(11, 7, seed=2)
    loss = contrastive_loss(*tensors(overhead * 3.7, ground, queue.T), 12.0, form)  # type: ignore[arg-type]
    assert float(loss) == pytest.approx(by_hand(overhead, ground, queue, 12.0, form), rel=1e-5)


def test_the_sigmoid_form_is_its_definition() -> None:
    overhead, ground, queue = unit(4, 7), unit(4, 7, seed=1), unit(3, 7, seed=2)
    total = 0.0
    for i in range(4):
        for j, row in enumerate([*ground, *queue]):
            logit = 10.0 * float(overhead[i] @ row) - 2.0
            total -= math.log(1 / (1 + math.exp(-logit if i == j else logit)))
    loss = contrastive_loss(*tensors(overhead, ground, queue.T), 10.0, "siglip", bias=-2.0)
    assert float(loss) == pytest.approx(total / 4, rel=1e-5)


def test_with_an_empty_queue() -> None:
    overhead, ground = unit(5, 7), unit(5, 7, seed=1)
    expected = by_hand(overhead, ground, np.zeros((0, 7)), 9.0, "paper")
    loss = contrastive_loss(*tensors(overhead, ground), torch.zeros(7, 0), 9.0)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_relations_by_hand() -> None:
    rows, owners = torch.tensor([3, 0, 4]), torch.tensor([0, 1, 2, 3])
    place = torch.tensor([7, 8, 7, 8, 9])  # of pairs 0 to 4
    own = torch.eye(3, 7, dtype=torch.bool)
    again = torch.zeros(3, 7, dtype=torch.bool)
    again[0, 3 + 3] = again[1, 3 + 0] = True  # pairs 3 and 0 are still in the queue
    peers = torch.zeros(3, 7, dtype=torch.bool)
    peers[0, 3 + 1] = peers[1, 3 + 2] = True  # pairs 3 and 1, 0 and 2 are of one place; pair 4 is alone
    for same_place, right, dropped in (
        ("negative", own, again),
        ("ignore", own, again | peers),
        ("positive", own | peers, again),
    ):
        masks = pair_masks(rows, owners, place, same_place)  # type: ignore[arg-type]
        assert torch.equal(masks[0], right), same_place
        assert torch.equal(masks[1], dropped), same_place


def by_hand_row(overhead: np.ndarray, columns: np.ndarray, right: list[int], scale: float) -> float:
    """Cross-entropy of one sample with equal shares for all that is right."""
    chances = np.exp(scale * columns @ overhead)
    return -float(np.mean(np.log(chances[right] / chances.sum())))


def test_what_is_dropped_is_no_negative_and_what_is_right_shares() -> None:
    overhead, ground, queue = unit(3, 7), unit(3, 7, seed=1), unit(4, 7, seed=2)
    right, dropped = torch.eye(3, 7, dtype=torch.bool), torch.zeros(3, 7, dtype=torch.bool)
    dropped[1, 5] = True
    right[2, 0] = right[2, 6] = True
    loss = contrastive_loss(*tensors(overhead, ground, queue.T), 5.0, related=(right, dropped))
    everyone = np.concatenate([ground, queue])
    rows = [
        by_hand_row(overhead[0], everyone, [0], 5.0),
        by_hand_row(overhead[1], np.delete(everyone, 5, axis=0), [1], 5.0),
        by_hand_row(overhead[2], everyone, [0, 2, 6], 5.0),
    ]
    assert float(loss) == pytest.approx(np.mean(rows), rel=1e-5)


@pytest.mark.parametrize("form", ["paper", "queue_only", "symmetric", "siglip"])
def test_gradients_reach_overhead_and_scale_and_are_finite(form: str) -> None:
    overhead = torch.from_numpy(unit(4, 7)).requires_grad_()
    scale = torch.tensor(10.0, requires_grad=True)
    (ground,) = tensors(unit(4, 7, seed=1))
    related = pair_masks(torch.arange(4), torch.arange(4))  # every own photo is in the queue as well
    queue = torch.cat([ground.T, ground.T[:, :2] * -1], dim=1)
    related = tuple(torch.cat([part, torch.zeros(4, 2, dtype=torch.bool)], dim=1) for part in related)
    contrastive_loss(overhead, ground, queue, scale, form, related=related).backward()  # type: ignore[arg-type]
    assert overhead.grad is not None
    assert scale.grad is not None
    assert torch.isfinite(overhead.grad).all()
    assert overhead.grad.abs().sum() > 0
    assert torch.isfinite(scale.grad)


def test_the_queue_forgets_its_oldest_first() -> None:
    rows = torch.arange(5.0).repeat(2, 1).T  # [5, 2], row n is (n, n)
    queue = RingQueue(rows, torch.arange(5))
    queue.push(torch.full((3, 2), 9.0), torch.tensor([10, 11, 12]))
    assert sorted(queue.owners.tolist()) == [3, 4, 10, 11, 12]
    queue.push(torch.full((3, 2), 8.0), torch.tensor([20, 21, 22]))
    assert sorted(queue.owners.tolist()) == [11, 12, 20, 21, 22]
    assert queue.embeddings.shape == (2, 5)
    for column, owner in enumerate(queue.owners.tolist()):
        assert queue.embeddings[:, column].tolist() == ([8.0, 8.0] if owner >= 20 else [9.0, 9.0])
    queue.push(torch.arange(7.0).repeat(2, 1).T, torch.arange(100, 107))
    assert sorted(queue.owners.tolist()) == [102, 103, 104, 105, 106]


def test_a_restored_queue_goes_on_as_if_nothing_was() -> None:
    rows = torch.from_numpy(unit(6, 4))
    queue = RingQueue(rows, torch.arange(6))
    restored = RingQueue(rows * 0, torch.zeros(6, dtype=torch.int64))
    queue.push(rows[:4], torch.arange(10, 14))
    restored.load_state_dict(queue.state_dict())
    for ring in (queue, restored):
        ring.push(rows[2:6], torch.arange(20, 24))
    assert torch.equal(queue.embeddings, restored.embeddings)
    assert torch.equal(queue.owners, restored.owners)


def test_a_queue_of_none() -> None:
    queue = RingQueue(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    queue.push(torch.ones(2, 4), torch.arange(2))
    assert queue.embeddings.shape == (4, 0)
