"""The small files that say what an atlas, a pair set or a checkpoint is, damaged: right or one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from damage import CHANGES, FLIPS, QUICK, damage_bytes, json_variants, outcome_of
from hypothesis import given
from made_up import Album, build_small
from safetensors.numpy import save_file
from small_atlas import build, make_spec

from sat2cap.atlas import Atlas, open_atlas, verify_atlas
from sat2cap.atlas.presence import WIDE_MANIFEST
from sat2cap.atlas.wide_manifest import read_wide_manifest, write_wide_manifest
from sat2cap.errors import AtlasError, PairsError
from sat2cap.geo import parse_utm_zone
from sat2cap.model.calibration import make_calibration, read_calibration
from sat2cap.model.weights import map_tensors
from sat2cap.pairs import PairSet, open_pairs
from sat2cap.query.engine.preparation import prepare_atlas
from sat2cap.query.engine.prepared import map_arrays, map_checksums, prepared_state
from sat2cap.stores import open_store


def outcomes_of(path: Path, read: Callable[[], object], changes=CHANGES, variants=()) -> set[str]:
    """The outcomes of reading a file after many changes, and of each variant; it is put back."""
    data, outcomes = path.read_bytes(), set()

    def try_bytes(damaged: bytes) -> None:
        path.write_bytes(damaged)
        outcomes.add(outcome_of(read))

    @QUICK
    @given(changes)
    def check(some: list[tuple[str, float, int]]) -> None:
        try_bytes(damage_bytes(data, some))

    check()
    for variant in variants:
        try_bytes(variant)
    path.write_bytes(data)
    return outcomes


def read_all(path: Path) -> Atlas:
    atlas = open_atlas(path)
    assert (len(atlas.identity), len(atlas.fingerprint)) == (64, 64)
    json.dumps([atlas.attribution, atlas.licence])
    atlas.read(slice(0, 10), slice(0, 7))
    verify_atlas(atlas)
    return atlas


def test_a_damaged_plan_of_an_older_version_and_its_journal(tmp_path: Path) -> None:
    build(tmp_path / "a.zarr")
    records = tmp_path / "a.zarr/_sat2cap"
    for name in ("plan.copy.json", "plan.sha256"):  # with these a damaged plan is not even parsed
        (records / name).unlink()
    plan, journal = records / "plan.json", records / "journal.jsonl"
    variants = json_variants(plan.read_bytes())[::11]
    read = lambda: read_all(tmp_path / "a.zarr")  # noqa: E731
    assert outcomes_of(plan, read, variants=variants) == {"read", "refused"}
    first, *rest = journal.read_bytes().splitlines(keepends=True)
    variants = [variant + b"\n" + b"".join(rest) for variant in json_variants(first)[::17]]
    assert outcomes_of(journal, read, variants=variants) <= {"read", "refused"}


@pytest.mark.parametrize("licence", ["\ud800", float("nan"), {"a": [float("inf")]}])
def test_a_plan_that_cannot_be_written_again_is_refused(tmp_path: Path, licence: object) -> None:
    build(tmp_path / "a.zarr")
    records = tmp_path / "a.zarr/_sat2cap"
    plan = json.loads((records / "plan.json").read_bytes())
    plan["provenance"]["imagery"]["licence"] = licence
    for name in ("plan.copy.json", "plan.sha256"):
        (records / name).unlink()
    (records / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(AtlasError, match="its plan cannot be read"):
        open_atlas(tmp_path / "a.zarr")


def test_a_damaged_manifest_of_a_wide_atlas(tmp_path: Path) -> None:
    specs = {parse_utm_zone("utm31n"): make_spec(), parse_utm_zone("utm32n"): make_spec(dim=6)}
    write_wide_manifest(tmp_path, specs)
    path = tmp_path / WIDE_MANIFEST
    sound, parts = read_wide_manifest(open_store(tmp_path)), []

    def read() -> None:
        parts.append(read_wide_manifest(open_store(tmp_path)))

    assert "refused" in outcomes_of(path, read, variants=json_variants(path.read_bytes())[::5])
    assert all(some == sound for some in parts), "none but the right parts are ever returned"


def test_damaged_files_of_the_prepared_folder_are_not_used(tmp_path: Path) -> None:
    build(tmp_path / "a.zarr")
    atlas = open_atlas(tmp_path / "a.zarr")
    folder = prepare_atlas(atlas, "cyclic")
    assert prepared_state(atlas, "cyclic") == "yes"
    sound = map_arrays(atlas, "cyclic")
    assert sound is not None
    shapes = {name: array.shape for name, array in sound.items()}

    def read() -> None:
        arrays = map_arrays(atlas, None)
        assert arrays is None or {name: array.shape for name, array in arrays.items()} == shapes
        checksums = map_checksums(atlas, arrays) if arrays is not None else None
        assert checksums is None or checksums.shape == (len(sound["scale"]), 4)

    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        header = [bytes([*data[:i], data[i] ^ 1 << i % 8, *data[i + 1 :]]) for i in range(0, 128, 7)]
        variants = json_variants(data)[::12] if path.suffix == ".json" else header
        assert outcomes_of(path, read, variants=variants) == {"read"}
    assert prepared_state(atlas, "cyclic") == "yes"


def test_a_damaged_header_of_a_calibration(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "c.safetensors"
    ground, overhead = rng.normal(size=(2, 6, 8)).astype(np.float32)
    save_file(make_calibration(ground, overhead, np.zeros((6, 12), np.float32)).as_arrays(), path)
    data = path.read_bytes()
    stop = 8 + int.from_bytes(data[:8], "little")
    headers = json_variants(data[8:stop])[::2]
    for shape in ([2**70, 0], [2**62, 0], [0, 2**40, 2**40], [1] * 100, [-1, -48], [True, 48], [2.0, 24]):
        header = json.loads(data[8:stop])
        header["ground"] |= {"shape": shape, "data_offsets": [0, 0]}
        headers.append(json.dumps(header).encode())
    variants = [len(header).to_bytes(8, "little") + header + data[stop:] for header in headers]
    read = lambda: read_calibration(map_tensors(path), 8, path.name)  # noqa: E731
    assert outcomes_of(path, read, FLIPS, variants) == {"read", "refused"}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    return build_small(tmp_path_factory.mktemp("damaged") / "pairs", Album(12))


def read_pairs(path: Path) -> None:
    pairs = open_pairs(path)
    assert repr(pairs)
    assert pairs.fingerprint
    pairs.find_problems()
    pairs.index.sort_values("key")
    for split in ("train", "val"):
        pairs.count(split)
        list(pairs.read(split))
        list(pairs.read_rows(split, [0] if pairs.count(split) else []))
        pairs.locate(split, path.parent / "cache")


@pytest.mark.parametrize(("name", "step"), [("pairs.json", 61), ("index.parquet", 0)])
def test_damaged_files_of_a_pair_set(pairs: PairSet, tmp_path: Path, name: str, step: int) -> None:
    folder = Path(shutil.copytree(pairs.path, tmp_path / "pairs"))
    read_pairs(folder)
    variants = json_variants((folder / name).read_bytes())[::step] if step else []
    assert outcomes_of(folder / name, lambda: read_pairs(folder), variants=variants) == {"read", "refused"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("counts", value) for value in ([], {"train": "1"}, {"train": -1}, {"train": True})),
        *(("shards", value) for value in (None, {"train-0.tar": 3}, {"train-0.tar": {"pairs": 1}})),
        ("shards", {"../train-0.tar": {"pairs": 1, "sha256": "a"}}),
        ("fingerprint", None),
    ],
)
def test_a_pair_set_of_other_values_is_one_line(pairs: PairSet, tmp_path: Path, field: str, value) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/pairs.json").write_text(json.dumps(pairs.manifest | {field: value}))
    with pytest.raises(PairsError, match=r"pairs\.json is damaged .*; build the pairs again"):
        open_pairs(tmp_path / "p")


def test_damaged_shards_of_pairs(pairs: PairSet, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(pairs.path, tmp_path / "pairs"))
    shard = next(iter(sorted((folder / "shards").iterdir())))
    split = shard.name.rsplit("-", 1)[0]
    read = lambda: list(open_pairs(folder).read(split))  # noqa: E731
    assert outcomes_of(shard, read) == {"read", "refused"}
