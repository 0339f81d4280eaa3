"""InfoNCE in its three forms, against a definition written out in numpy, and the queue."""

import math

import numpy as np
import pytest
import torch

from sat2cap.train.losses import info_nce
from sat2cap.train.queue import RingQueue


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


@pytest.mark.parametrize("form", ["paper", "queue_only", "symmetric"])
def test_each_form_is_its_definition(form: str) -> None:
    overhead, ground, queue = unit(5, 7), unit(5, 7, seed=1), unit(11, 7, seed=2)
    tensors = torch.from_numpy(overhead * 3.7), torch.from_numpy(ground), torch.from_numpy(queue.T)
    found = info_nce(*tensors, 12.0, form)  # type: ignore[arg-type]
    assert float(found) == pytest.approx(by_hand(overhead, ground, queue, 12.0, form), rel=1e-5)


def test_without_queue_and_with_an_empty_one() -> None:
    overhead, ground = unit(5, 7), unit(5, 7, seed=1)
    expected = by_hand(overhead, ground, np.zeros((0, 7)), 9.0, "paper")
    for queue in (None, torch.zeros(7, 0)):
        found = info_nce(torch.from_numpy(overhead), torch.from_numpy(ground), queue, 9.0)
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_own_entries_of_the_queue_are_no_negatives() -> None:
    overhead, ground, queue = unit(3, 7), unit(3, 7, seed=1), unit(4, 7, seed=2)
    queue[2] = ground[1]
    own = torch.zeros(3, 4, dtype=torch.bool)
    own[1, 2] = True
    found = info_nce(
        torch.from_numpy(overhead), torch.from_numpy(ground), torch.from_numpy(queue.T), 5.0, own=own
    )
    rest = np.delete(queue, 2, axis=0)
    single = [by_hand_row(overhead, ground, rest if i == 1 else queue, 5.0, i) for i in range(3)]
    assert float(found) == pytest.approx(np.mean(single), rel=1e-5)


def by_hand_row(overhead: np.ndarray, ground: np.ndarray, queue: np.ndarray, scale: float, i: int) -> float:
    """Eq. 3 of one sample."""
    others = np.concatenate([ground, queue])
    return -math.log(math.exp(scale * overhead[i] @ ground[i]) / np.exp(scale * others @ overhead[i]).sum())


@pytest.mark.parametrize("form", ["paper", "queue_only"])
def test_parts_of_a_batch_average_to_the_whole(form: str) -> None:
    overhead, ground, queue = (torch.from_numpy(unit(n, 7, seed=n)) for n in (6, 6, 9))
    whole = info_nce(overhead, ground, queue.T, 8.0, form)  # type: ignore[arg-type]
    parts = [
        info_nce(overhead[first : first + 3], ground, queue.T, 8.0, form, first=first)  # type: ignore[arg-type]
        for first in (0, 3)
    ]
    assert float(sum(parts) / 2) == pytest.approx(float(whole), rel=1e-6)


def test_only_the_overhead_side_learns_and_the_scale() -> None:
    overhead = torch.from_numpy(unit(4, 7)).requires_grad_()
    scale = torch.tensor(10.0, requires_grad=True)
    info_nce(overhead, torch.from_numpy(unit(4, 7, seed=1)), None, scale).backward()
    assert overhead.grad is not None
    assert overhead.grad.abs().sum() > 0
    assert scale.grad is not None


def test_gradients_are_finite_with_own_entries_in_the_queue() -> None:
    overhead = torch.from_numpy(unit(4, 7)).requires_grad_()
    scale = torch.tensor(10.0, requires_grad=True)
    ground, own = torch.from_numpy(unit(4, 7, seed=1)), torch.eye(4, dtype=torch.bool)
    info_nce(overhead, ground, ground.T, scale, own=own).backward()
    assert torch.isfinite(overhead.grad).all()
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
    queue, other = RingQueue(rows, torch.arange(6)), RingQueue(rows * 0, torch.zeros(6, dtype=torch.int64))
    queue.push(rows[:4], torch.arange(10, 14))
    other.restore(queue.state())
    for each in (queue, other):
        each.push(rows[2:6], torch.arange(20, 24))
    assert torch.equal(queue.embeddings, other.embeddings)
    assert torch.equal(queue.owners, other.owners)


def test_a_queue_of_none() -> None:
    queue = RingQueue(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    queue.push(torch.ones(2, 4), torch.arange(2))
    assert queue.embeddings.shape == (4, 0)
