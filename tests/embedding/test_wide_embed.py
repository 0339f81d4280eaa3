"""Embedding a region of several UTM zones: a place has the same bytes, whatever stops the run."""

import forked
import numpy as np
import pytest
from s3_server import BUCKET, s3_server
from small_model import PIXELS, model
from wide_ground import REGION, LonLatGround, plan, run, run_slowly

from sat2cap.api import repair
from sat2cap.api.embedding import plan_embedding
from sat2cap.atlas import CellStatus, open_atlas, verify_atlas
from sat2cap.errors import AtlasError, ImageryError, JobError, RegionError
from sat2cap.files import digest_file
from sat2cap.geo import cell_lonlat, parse_region


def file_digests(folder):
    records = set(folder.rglob("*.runs.jsonl"))
    files = [p for p in folder.rglob("*") if p.is_file() and p not in records]
    return {str(p.relative_to(folder)): digest_file(p) for p in files}


def embeddings_by_cell(atlas):
    """Bytes of every embedded cell, by the index of the cell in the grid of its zone."""
    a, cells = atlas.grid.affine, {}
    top, left = round(-a.f / a.a), round(a.c / a.a)
    values, scale = atlas.read_raw(slice(0, atlas.grid.shape[0]), slice(0, atlas.grid.shape[1]))
    for row, col in np.argwhere(atlas.status == CellStatus.OK):
        cells[top + row, left + col] = values[:, row, col].tobytes() + scale[row, col].tobytes()
    return cells


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    stages = []
    atlas = run(tmp_path_factory.mktemp("whole") / "w.zarr", progress=lambda *stage: stages.append(stage))
    assert {(name, total) for name, _, total in stages} == {("embedding cells", stages[0][2])}
    done = [done for _, done, _ in stages]
    assert done == sorted(done)
    assert done[-1] == stages[0][2]
    return atlas


def test_each_zone_is_an_atlas_that_can_be_opened_alone(undisturbed):
    assert [part.zone.name for part in undisturbed.parts] == ["utm31n", "utm32n"]
    assert undisturbed.complete
    for part in undisturbed.parts:
        alone = open_atlas(part.atlas.path)
        assert verify_atlas(alone) == []
        assert alone.grid.crs == part.zone.crs
        assert (alone.status[alone.wanted] == CellStatus.OK).all()


def test_no_place_of_the_region_is_without_a_cell(undisturbed):
    lon, lat = np.meshgrid(np.linspace(5.9501, 6.0499, 301), np.linspace(52.0001, 52.0399, 101))
    assert np.isfinite(undisturbed.read_places(lon, lat)).all()
    edge = np.linspace(52.0001, 52.0399, 5000)  # the edge itself, and a hair beside it
    for lon in (6.0, 6 - 1e-9, 6 + 1e-9):
        assert np.isfinite(undisturbed.read_places(np.full(edge.shape, lon), edge)).all()


@pytest.mark.parametrize("sides", [{}, {"cell_m": 250.0, "patch_m": 480.0}])
def test_a_place_has_the_same_bytes_in_every_region(tmp_path, sides):
    first = plan("5.97,52.0,6.03,52.03", tmp_path / "a.zarr", **sides).run()
    second = plan("5.985,52.01,6.06,52.05", tmp_path / "b.zarr", **sides).run()
    narrow = plan_embedding("5.96,51.99,5.999,52.05", LonLatGround(), model(), tmp_path / "c.zarr").run()
    compared = 0
    for one, other in zip(first.parts, second.parts, strict=True):
        mine, theirs = embeddings_by_cell(one.atlas), embeddings_by_cell(other.atlas)
        common = mine.keys() & theirs.keys()
        assert all(mine[cell] == theirs[cell] for cell in common)
        compared += len(common)
    assert compared > 20
    if not sides:  # an atlas in one zone has them, too
        mine, theirs = embeddings_by_cell(first.parts[0].atlas), embeddings_by_cell(narrow)
        common = mine.keys() & theirs.keys()
        assert len(common) > 10
        assert all(mine[cell] == theirs[cell] for cell in common)


def test_killed_it_goes_on_to_the_same_bytes(tmp_path, undisturbed):
    """SIGKILL to a real process that is in its second zone, resumed in another."""
    out = tmp_path / "w.zarr"
    reports, sender = forked.CONTEXT.Pipe(duplex=False)
    process = forked.start(run_slowly, out, sender)
    sender.close()
    done, total = 0, 1
    while done < 0.6 * total:
        done, total = reports.recv()
    process.kill()
    process.join()
    assert [member.complete for member in open_atlas(out).members] == [True, False]
    assert run(out).complete
    assert file_digests(out) == file_digests(undisturbed.path)


@pytest.mark.parametrize("share", [0.0, 0.4, 0.8])
def test_stopped_in_any_zone_it_goes_on_to_the_same_bytes(tmp_path, undisturbed, share):
    out = tmp_path / "w.zarr"

    def stop(_, done, total):
        if done >= share * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, progress=stop)
    assert not open_atlas(out).complete
    assert run(out).complete
    assert file_digests(out) == file_digests(undisturbed.path)


def test_in_a_bucket_it_is_the_same_atlas(undisturbed):
    """Stopped in its second zone and continued, read there, and by the address of a part."""
    with s3_server():
        address = f"s3://{BUCKET}/maps/w.zarr"

        def stop(_, done, total):
            if done >= 0.8 * total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(address, progress=stop)
        assert [member.complete for member in open_atlas(address).members] == [True, False]
        remote = run(address)
        assert remote.complete
        assert (remote.identity, remote.fingerprint) == (undisturbed.identity, undisturbed.fingerprint)
        assert [problem for member in remote.members for problem in verify_atlas(member)] == []
        lon, lat = np.linspace(5.951, 6.049, 9), np.full(9, 52.02)
        np.testing.assert_array_equal(remote.read_places(lon, lat), undisturbed.read_places(lon, lat))
        part = open_atlas(f"{address}/utm32n")
        assert part.identity == undisturbed.members[1].identity
        with pytest.raises(AtlasError, match="an atlas of several UTM zones"):
            plan_embedding("5.95,52,5.97,52.01", LonLatGround(), model(), address).pending()


def test_one_process_writes_at_a_time(tmp_path):
    from sat2cap.atlas import wide_lock

    with wide_lock(tmp_path / "w.zarr"), pytest.raises(JobError, match="is being written"):
        run(tmp_path / "w.zarr")


def test_another_region_or_kind_of_atlas_is_refused(tmp_path, undisturbed):
    with pytest.raises(AtlasError, match="differs in zones"):
        plan("5.95,52,12.05,52.04", undisturbed.path).pending()
    with pytest.raises(AtlasError, match=r"differs in (grid, )?cells"):
        plan("5.95,52,6.05,52.1", undisturbed.path).pending()
    ground, narrow = LonLatGround(), "5.95,52,5.97,52.01"
    with pytest.raises(AtlasError, match="an atlas of several UTM zones"):
        plan_embedding(narrow, ground, model(), undisturbed.path).pending()
    plan_embedding(narrow, ground, model(), tmp_path / "one.zarr").run()
    with pytest.raises(AtlasError, match="an atlas in one CRS"):
        run(tmp_path / "one.zarr")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text.txt").write_text("mine")
    with pytest.raises(AtlasError, match="is not an atlas"):
        run(tmp_path / "notes")


def test_a_lost_manifest_is_written_anew(tmp_path):
    out = tmp_path / "w.zarr"
    before = file_digests(run(out).path)
    for damage in (lambda file: file.unlink(), lambda file: file.write_text("{")):
        damage(out / "_sat2cap" / "wide.json")
        assert run(out).complete
        assert file_digests(out) == before


def test_repair_goes_over_all_zones(tmp_path):
    out = tmp_path / "w.zarr"
    before = file_digests(run(out).path)
    chunk = next(file for file in (out / "utm32n" / "scale" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-4] + b"nope")
    broken = open_atlas(out)
    assert [len(verify_atlas(member)) for member in broken.members] == [0, 1]
    with pytest.raises(ImageryError):  # the made-up ground has no name to be opened by
        repair(out)
    assert run(out).complete
    assert file_digests(out) == before


def test_when_a_region_becomes_one_of_several_zones(tmp_path):
    """Those that one zone serves stay as they were; a swapped west and east is still a mistake."""

    def zones(region, **options):
        settings = {"cell_m": 50_000.0, "patch_m": 50_000.0, **options}
        parts = plan_embedding(region, LonLatGround(), model(), tmp_path / "x.zarr", **settings).parts
        return [str(part.spec.grid.crs) for part in parts]

    assert zones("4,50,23.9,52") == ["EPSG:32633"]
    assert zones("3,50,24.1,52") == [f"EPSG:326{zone}" for zone in range(31, 36)]
    assert zones("3,50,24.1,52", crs="EPSG:6933") == ["EPSG:6933"]
    assert zones("165,-30,-170,-20") == [f"EPSG:327{zone:02d}" for zone in (1, 2, 58, 59, 60)]
    with pytest.raises(RegionError, match="a west beyond the east goes around the Earth"):
        zones("24,50,3,52")
    for sides in ({"cell_m": 0.0}, {"cell_m": float("nan")}, {"patch_m": 0.0}, {"patch_m": float("inf")}):
        with pytest.raises(RegionError, match="must be more than 0"):
            zones("3,50,24.1,52", **sides)


def test_zones_without_imagery_are_left_out(tmp_path):
    ground = LonLatGround(bounds=(5.9, 51.9, 5.98, 52.1))
    assert [part.spec.grid.crs.epsg for part in plan(REGION, tmp_path / "x.zarr", ground).parts] == [32631]
    with pytest.raises(ImageryError, match="lies outside the region"):
        plan(REGION, tmp_path / "x.zarr", LonLatGround(bounds=(20, 51.9, 21, 52.1)))


def test_the_chunks_of_two_regions_are_the_same_squares(tmp_path):
    for cell_m, patch_m in ((480.0, 480.0), (250.0, 480.0), (70.0, 480.0)):
        for name in ("5.97,52.0,6.03,52.03", "5.3,51.7,6.2,52.5"):
            for part in plan(name, tmp_path / "x.zarr", cell_m=cell_m, patch_m=patch_m).parts:
                a = part.spec.grid.affine
                assert a.c % (32 * cell_m) == pytest.approx(0, abs=1e-6)
                assert a.f % (32 * cell_m) == pytest.approx(0, abs=1e-6)
                starts = a.c / cell_m * (cell_m * PIXELS / patch_m)
                assert starts == pytest.approx(round(starts), abs=1e-6)


def test_owned_cells_are_each_in_one_zone(undisturbed):
    own = {}
    for part in undisturbed.parts:
        lon, lat = cell_lonlat(part.atlas.grid)
        mine = part.owned & part.atlas.wanted
        own[part.zone.name] = lon[mine], lat[mine]
    assert own["utm31n"][0].max() < 6 <= own["utm32n"][0].min()
    counted = sum(len(lon) for lon, _ in own.values())
    area = parse_region(REGION).geometry.to_crs("EPSG:6933").area / 480**2
    assert counted == pytest.approx(area, rel=0.3)
