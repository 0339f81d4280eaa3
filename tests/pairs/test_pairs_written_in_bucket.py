"""A pair set is built in a bucket as in a folder: the same bytes, whatever ends the build, and when."""

import json
from pathlib import Path

import pytest
from made_up import SPLIT, Album, build_small
from pickled_engine import PickledEngine
from s3_server import BUCKET, CUT, KEY_ID, SECRET, S3Server, ended_at_requests, s3_server

from sat2cap.cli.app import main
from sat2cap.errors import InputError, JobError, PairsError, StoreError
from sat2cap.pairs import PairSet, Rules, SplitPlan, break_lock, open_pairs, resplit_pairs
from sat2cap.pairs.journal import LOCK, writer_lock
from sat2cap.stores import open_store
from sat2cap.stores.objects import ObjectStore

FEW = Album(21)
SHARD = "shards/train-00000.tar"


@pytest.fixture(scope="module")
def server():
    with s3_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults(server: S3Server):
    yield
    server.faults = lambda method, path: None


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    """A small set in a folder."""
    return build_small(tmp_path_factory.mktemp("local") / "pairs", FEW)


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"s3://{BUCKET}/{tmp_path.name}/pairs"


def objects(place: Path | str) -> dict[str, bytes]:
    """Every file or object of a pair set, with its bytes."""
    store = open_store(place)
    return {key: store.get(key) for key, _ in store.list()}


def test_the_objects_are_the_files_of_the_folder(address: str, local: PairSet, server: S3Server) -> None:
    made = build_small(address, FEW)
    assert objects(address) == objects(local.path)
    assert made.fingerprint == local.fingerprint
    assert list(open_pairs(address).read("train")) == list(local.read("train"))
    server.forget()
    build_small(address, FEW)  # there is nothing to do
    assert {path.rpartition("/")[2] for method, path in server.requests if method == "PUT"} == {LOCK}


def test_workers_put_their_shards_themselves(address: str, local: PairSet) -> None:
    build_small(address, FEW, engine=PickledEngine())
    assert objects(address) == objects(local.path)


def test_near_copies_are_compared_by_hashes_in_the_bucket(address: str, tmp_path: Path) -> None:
    rules = Rules(look_alike_bits=4)
    in_folder = build_small(tmp_path / "pairs", FEW, rules=rules)
    build_small(address, FEW, rules=rules)
    assert objects(address) == objects(in_folder.path)


def test_ended_at_any_request_it_goes_on_to_the_same_objects(
    tmp_path: Path, server: S3Server, local: PairSet
) -> None:
    place = f"s3://{BUCKET}/{tmp_path.name}-{{}}/pairs"
    addresses = ended_at_requests(server, place, 13, lambda address: build_small(address, FEW))
    for address in addresses:
        assert objects(address) == objects(local.path)
    assert len(addresses) > 3


@pytest.mark.parametrize(("fault", "words"), [(403, "refuses access"), (404, "has no such bucket")])
def test_a_put_that_fails_is_one_line_and_is_made_again(
    tmp_path: Path, server: S3Server, local: PairSet, fault: int, words: str
) -> None:
    store = ObjectStore(f"s3://{BUCKET}/{tmp_path.name}/pairs", timeout_s=0.4, retry_s=0.5)
    server.faults = lambda method, path: fault if SHARD in path and method in ("PUT", "POST") else None
    with pytest.raises(StoreError, match=words) as caught:
        build_small(store, FEW)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    server.faults = lambda method, path: None
    build_small(store, FEW)
    everything = objects(store.address.rpartition("/")[0])
    assert {key.removeprefix("pairs/"): data for key, data in everything.items() if "runs" not in key} == (
        objects(local.path)
    )
    assert not any(secret.encode() in data for data in everything.values() for secret in (SECRET, KEY_ID))


def test_a_broken_shard_is_made_again_and_a_cut_answer_is_asked_for_again(
    address: str, server: S3Server, local: PairSet
) -> None:
    build_small(address, FEW)
    key = address.removeprefix("s3:/")
    server.request("PUT", f"{key}/{SHARD}", b"other bytes")
    assert open_pairs(address).find_problems() == [f"{Path(SHARD).name} has other bytes than were written"]
    cuts = iter([CUT])  # of the answers with the journal, the first
    server.faults = lambda method, path: next(cuts, None) if path.endswith("journal.jsonl") else None
    build_small(address, FEW)
    assert next(cuts, None) is None
    assert objects(address) == objects(local.path)


def test_a_second_builder_is_refused_until_the_lock_is_released(address: str, local: PairSet, capsys) -> None:
    elsewhere = {"host": "node7", "pid": 12, "since": "2026-01-01", "token": "t", "machine": "m"}
    open_store(address).put(LOCK, json.dumps({**elsewhere, "started": ""}).encode())
    words = f"pair set '{address}' is being written by process 12 on .*sat2cap pairs unlock {address}"
    with pytest.raises(JobError, match=words):
        build_small(address, FEW)
    with pytest.raises(JobError, match=words):
        resplit_pairs(local, address, SplitPlan("random"))
    with pytest.raises(SystemExit):
        main(["pairs", "unlock", address])
    assert capsys.readouterr().out.startswith(f"{address}: released the lock of process 12 on")
    assert break_lock(address) is None
    with writer_lock(address), pytest.raises(JobError, match="is being written by process"):
        build_small(address, FEW)
    build_small(address, FEW)
    assert objects(address) == objects(local.path)


def test_a_set_is_split_anew_from_bucket_to_bucket(address: str, local: PairSet, tmp_path: Path) -> None:
    plan = SplitPlan("random", SPLIT.fractions)
    build_small(address, FEW)
    again = resplit_pairs(open_pairs(address), f"{address}-random", plan, per_shard=5)
    assert objects(again.name) == objects(resplit_pairs(local, tmp_path / "random", plan, per_shard=5).path)
    with pytest.raises(PairsError, match=f"{address} holds a build from other photos, imagery or settings"):
        resplit_pairs(local, address, plan, per_shard=5)


def test_all_of_a_bucket_is_no_place_for_a_set() -> None:
    with pytest.raises(InputError, match="is all of a bucket; give a path in it"):
        build_small(f"s3://{BUCKET}", FEW)


def test_a_file_of_several_parts_is_one_object(tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/{tmp_path.name}")
    data = bytes(range(256)) * (6 << 12)  # 6 MiB, and a part is 5
    with store.writer.stage_file("large.bin") as (file, staged):
        file.write(data)
    store.writer.place(staged, "large.bin")
    assert store.get("large.bin") == data
    with pytest.raises(ZeroDivisionError), store.writer.stage_file("none.bin") as (file, staged):
        file.write(data[: 1 // 0])
    assert "none.bin" not in "".join(name for name, _ in store.list())
