"""Pair sets in a bucket and on a web server: what is read is what the folder has, by ranges."""

import pickle
from functools import partial
from pathlib import Path

import pytest
from file_server import RangeHandler, running
from made_up import build_small
from s3_server import BUCKET, S3Server, s3_server

from sat2cap.cli.app import main
from sat2cap.errors import PairsError, StoreError
from sat2cap.pairs import PairSet, SplitPlan, open_pairs, resplit_pairs
from sat2cap.stores import open_store

ADDRESS = f"s3://{BUCKET}/pairs"


@pytest.fixture(scope="module")
def server():
    with s3_server() as running:
        yield running


@pytest.fixture(scope="module")
def local(server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    """A pair set in a folder, and the same in the bucket."""
    made = build_small(tmp_path_factory.mktemp("local") / "pairs")
    server.upload(made.path, ADDRESS)
    return made


def status_of(command: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(command)
    return int(ended.value.code or 0)


def test_all_pairs_rows_and_samples_are_those_of_the_folder(local: PairSet) -> None:
    remote = pickle.loads(pickle.dumps(open_pairs(ADDRESS)))
    assert remote.fingerprint == local.fingerprint
    assert remote.index.equals(local.index)
    assert list(remote.read("train")) == list(local.read("train"))
    assert list(remote.read_rows("train", [7, 0])) == list(local.read_rows("train", [7, 0]))
    assert remote.sample_pairs(5) == local.sample_pairs(5)
    assert remote.find_problems() == []


def test_a_photo_takes_one_request(local: PairSet, server: S3Server, tmp_path: Path) -> None:
    theirs, ours = (pairs.locate("train", tmp_path) for pairs in (open_pairs(ADDRESS), local))
    server.forget()
    assert theirs.read_patch(0) == ours.read_patch(0)
    assert [method for method, _ in server.requests] == ["GET"]
    for row in range(len(ours)):  # also the last of a shard, whose end the index does not tell
        assert theirs.read_photo(row) == ours.read_photo(row)


def test_it_is_split_anew_into_a_folder(local: PairSet, tmp_path: Path) -> None:
    plan = SplitPlan("random", (0.6, 0.2, 0.2))
    first, second = (
        resplit_pairs(pairs, tmp_path / name, plan, per_shard=9)
        for name, pairs in (("a", local), ("b", open_pairs(ADDRESS)))
    )
    assert second.fingerprint == first.fingerprint


def test_a_command_reads_it_and_its_card_is_put_beside_the_shards(local: PairSet, capsys) -> None:
    assert status_of(["pairs", "inspect", ADDRESS, "--check"]) == 0
    assert local.fingerprint in capsys.readouterr().out
    assert status_of(["pairs", "card", ADDRESS]) == 0
    assert capsys.readouterr().out == f"{ADDRESS}/card/README.md\n"
    store = open_store(f"{ADDRESS}/card")
    assert local.fingerprint[:12] in store.get("README.md").decode()
    assert sorted(store.names()) == ["README.md", "attribution.csv", "density.png", "funnel.png", "times.png"]


def test_what_is_missing_cut_or_refused_is_one_line(local: PairSet, server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(PairsError, match=r"s3://maps-bucket/no has no pairs.json.*check the address"):
        open_pairs(f"s3://{BUCKET}/no")
    with pytest.raises(PairsError, match="is no folder of this machine"):
        open_pairs(ADDRESS).path  # noqa: B018
    cut = f"s3://{BUCKET}/cut"
    server.upload(local.path, cut)
    name = next(name for name in local.manifest["shards"] if name.startswith("train"))
    data = (local.path / "shards" / name).read_bytes()
    server.request("PUT", f"/{BUCKET}/cut/shards/{name}", data[:1000])
    with pytest.raises(PairsError, match=rf"cut/shards/{name} is broken"):
        list(open_pairs(cut).read("train"))
    with pytest.raises(PairsError, match=rf"{name} is broken \(cut at byte 1,000\)"):
        open_pairs(cut).locate("train", tmp_path)
    server.request("DELETE", f"/{BUCKET}/cut/shards/{name}")
    with pytest.raises(PairsError, match=f"{name} is missing"):
        list(open_pairs(cut).read("train"))
    assert open_pairs(cut).find_problems() == [f"{name} is missing"]
    server.faults = lambda method, path: 403
    try:
        with pytest.raises(StoreError, match="refuses"):
            open_pairs(ADDRESS)
    finally:
        server.faults = lambda method, path: None


def test_a_web_server_is_enough(local: PairSet, tmp_path: Path, capsys) -> None:
    with running(partial(RangeHandler, directory=str(local.path))) as site:
        site.sent = 0
        remote = open_pairs(f"http://127.0.0.1:{site.server_address[1]}")
        assert list(remote.read("val")) == list(local.read("val"))
        located = remote.locate("train", tmp_path)
        ours = local.locate("train", tmp_path)
        assert [located.read_photo(row) for row in range(8)] == [ours.read_photo(row) for row in range(8)]
        assert status_of(["pairs", "card", remote.name]) == 2
        assert "must be written somewhere: give a folder" in capsys.readouterr().err
        with pytest.raises(StoreError, match="a web server, which is only read; give s3://"):
            build_small(f"{remote.name}/more")
