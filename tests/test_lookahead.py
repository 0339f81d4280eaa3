"""Preparing items ahead of their use: order, bounds, errors, and threads that end."""

import os
import threading
import time
from pathlib import Path

import pytest

from sat2cap import lookahead
from sat2cap.errors import JobError
from sat2cap.lookahead import count_cores, map_ahead


def lookahead_threads() -> int:
    return sum(thread.name.startswith("lookahead") for thread in threading.enumerate())


@pytest.mark.parametrize(("ahead", "threads"), [(2, 1), (0, 1), (5, 3)])
def test_results_come_in_order_from_other_threads_and_within_bounds(ahead: int, threads: int) -> None:
    started: list[int] = []
    workers: set[int] = set()

    def square(number: int) -> int:
        workers.add(threading.get_ident())
        started.append(number)
        time.sleep(0.003 if number % 3 == 0 else 0)  # later items must not overtake
        return number * number

    results = []
    for result in map_ahead(square, range(40), ahead=ahead, threads=threads):
        results.append(result)
        assert len(started) <= len(results) + ahead
    assert results == [number * number for number in range(40)]
    assert len(workers) <= threads
    assert threading.get_ident() not in workers
    assert lookahead_threads() == 0


def test_the_next_items_are_prepared_while_one_is_used() -> None:
    prepared = [threading.Event() for _ in range(6)]

    def prepare(number: int) -> int:
        prepared[number].set()
        return number

    results = map_ahead(prepare, range(6))
    assert next(results) == 0
    assert prepared[2].wait(5), "two items ahead"
    assert not prepared[3].is_set()
    results.close()  # type: ignore[attr-defined]


def test_an_error_is_raised_where_its_result_would_have_come() -> None:
    def fail_at_three(number: int) -> int:
        if number == 3:
            raise JobError("stop")
        return number

    results: list[int] = []
    with pytest.raises(JobError, match="stop"):
        results.extend(map_ahead(fail_at_three, range(9)))
    assert results == [0, 1, 2]
    assert lookahead_threads() == 0


def test_an_error_of_the_items_ends_the_threads() -> None:
    def items():
        yield 1
        raise JobError("no more")

    with pytest.raises(JobError, match="no more"):
        list(map_ahead(abs, items()))
    assert lookahead_threads() == 0


def test_a_consumer_that_stops_cancels_what_has_not_begun() -> None:
    started: list[int] = []

    def slow(number: int) -> int:
        started.append(number)
        time.sleep(0.02)
        return number

    results = map_ahead(slow, range(100), ahead=10)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert lookahead_threads() == 0
    assert len(started) < 10


def test_no_items_give_no_results() -> None:
    assert list(map_ahead(abs, [])) == []


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000", 6),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("900000 100000", 6),
        ("nonsense", 6),
        (None, 6),
    ],
)
def test_cores_are_those_that_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, cores: int
) -> None:
    if limit is not None:
        (tmp_path / "cpu.max").write_text(limit + "\n")
    monkeypatch.setattr(lookahead, "_CGROUP_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    assert count_cores() == cores
