"""Evaluations of an atlas of several UTM zones: every place counts once, against arithmetic by hand."""

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine
from made_model import model
from sklearn.metrics import roc_auc_score
from wide_world import make_wide_atlas

from sat2cap.atlas import CellStatus, WideAtlas
from sat2cap.errors import InputError
from sat2cap.evaluation import TrackedPrompt, TrackedRegion, evaluate_landcover, evaluate_maps, evaluate_time
from sat2cap.evaluation.clusters.evaluation import add_cluster_map
from sat2cap.evaluation.maps.cases import Case
from sat2cap.evaluation.maps.classes import Classes, LandClass
from sat2cap.evaluation.maps.location_baseline import CALENDAR
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.metric import Evaluation, metric_values
from sat2cap.geo import cell_lonlat, utm_codes
from sat2cap.publishing import publish_wide_atlas
from sat2cap.query import compute_scores, mean_scores
from sat2cap.report import cluster_picture, landcover_picture

REGION = "5.4,51.8,6.5,52.3"
EAST_OF = 5.9
"""Longitude of the edge of a made-up land cover, which is not that of the zones at 6 degrees."""


@pytest.fixture(scope="module")
def checkpoint():
    return model(32)


@pytest.fixture(scope="module")
def wide(tmp_path_factory, checkpoint) -> WideAtlas:
    return make_wide_atlas(tmp_path_factory.mktemp("wide") / "wide.zarr", checkpoint, REGION)


@pytest.fixture(scope="module")
def cover(tmp_path_factory) -> str:
    """A raster in degrees: 1 west of `EAST_OF`, 2 east of it."""
    path = tmp_path_factory.mktemp("cover") / "cover.tif"
    values = np.ones((90, 160), np.uint8)
    values[:, round((EAST_OF - 5.2) * 100) :] = 2
    profile = {
        "driver": "GTiff",
        "height": 90,
        "width": 160,
        "count": 1,
        "dtype": "uint8",
        "crs": "EPSG:4326",
    }
    with rasterio.open(path, "w", **profile, transform=Affine(0.01, 0, 5.2, 0, -0.01, 52.5)) as file:
        file.write(values, 1)
    return str(path)


def own_cells(wide, layer_of):
    """Values of the cells whose centre lies in their zone, told from their longitude, in no order."""
    values = []
    for part in wide.parts:
        lon, lat = cell_lonlat(part.atlas.grid)
        here = (utm_codes(lon, lat) == part.zone.epsg) & (part.atlas.status == CellStatus.OK)
        values.append(layer_of(part.atlas)[..., here])
    assert len(values) == 2
    return np.concatenate(values, axis=-1)


def test_every_place_is_one_cell_and_its_picture_has_no_seam(wide):
    cells = RegionCells(wide)
    lon, lat = own_cells(wide, lambda atlas: np.stack(cell_lonlat(atlas.grid)))
    np.testing.assert_array_equal(np.sort(cells.lonlat[0]), np.sort(lon))
    assert len(lon) < sum(int(part.atlas.wanted.sum()) for part in wide.parts)  # some lie across the edge
    shown = cells.on_map(np.stack(cells.lonlat), np.nan)
    assert np.isfinite(shown[:, 4:-4, 4:-4]).all()
    middle = shown[0, shown.shape[1] // 2]
    assert 0 <= np.diff(middle[4:-4]).min() <= np.diff(middle[4:-4]).max() < 0.05  # a cell is 0.029 degrees
    assert cells.is_southern is False
    assert lat.min() > 51


def test_means_over_the_year_count_every_cell_once(wide, checkpoint):
    times = CALENDAR[:3]
    expected = [
        own_cells(
            wide, lambda atlas, when=when: compute_scores(atlas, checkpoint, ["snow"], when=when).values
        )
        for when in times
    ]
    means = mean_scores(wide, checkpoint, ["snow"], times)[0]
    np.testing.assert_allclose(means, np.mean(expected, axis=(1, 2)), rtol=1e-5)
    region = TrackedRegion("wide", wide)
    found = metric_values(evaluate_time([region], checkpoint, [TrackedPrompt("snow")], draws=5).metrics)
    assert found["swing.wide.snow"] == np.ptp(mean_scores(wide, checkpoint, ["snow"], CALENDAR))


def test_agreement_with_a_raster_is_that_of_all_cells(wide, checkpoint, cover):
    score = own_cells(wide, lambda atlas: compute_scores(atlas, checkpoint, ["a harbour"]).values)[0]
    lon = own_cells(wide, lambda atlas: cell_lonlat(atlas.grid)[0])
    found = metric_values(evaluate_maps(wide, checkpoint, [Case("a harbour", cover, None, 1.5)]))
    assert found["auroc.1"] == pytest.approx(roc_auc_score(lon >= EAST_OF, score), abs=0.02)


def test_a_land_cover_is_judged_and_drawn_across_the_edge(wide, checkpoint, cover, tmp_path):
    kinds = ("west", "east")
    classes = tuple(LandClass(kind, (n,), (kind,), None, 0.5, "") for n, kind in enumerate(kinds, 1))
    land = Classes(cover, "", None, classes)
    found = evaluate_landcover(wide, checkpoint, land, {"clip": (wide, checkpoint)}, draws=5)
    score = own_cells(wide, lambda atlas: compute_scores(atlas, checkpoint, ["east"]).values)[0]
    lon = own_cells(wide, lambda atlas: cell_lonlat(atlas.grid)[0])
    figures = metric_values(found.metrics)
    assert figures["cells"] == len(lon)
    assert figures["auroc.east"] == pytest.approx(roc_auc_score(lon >= EAST_OF, score), abs=0.02)
    assert figures["above_clip.auroc.mean"] == 0
    drawn = found.material
    assert drawn.truth.shape[1:] == drawn.pure.shape == drawn.layers[""].shape[1:]
    assert np.nanmean(drawn.truth[1]) == pytest.approx((lon >= EAST_OF).mean(), abs=0.02)
    assert landcover_picture(drawn).startswith(b"\x89PNG")
    other = make_wide_atlas(tmp_path / "other.zarr", checkpoint, "5.4,51.8,6.5,52.0", 1000.0)
    with pytest.raises(InputError, match=r"has another grid than .*embed the same region"):
        evaluate_landcover(wide, checkpoint, land, {"clip": (other, checkpoint)}, draws=0)


def test_clusters_are_of_all_cells_and_on_one_map(wide, checkpoint):
    found = add_cluster_map(Evaluation((), {}), wide, checkpoint, 4, ("sea", "land"))
    assert sum(row["cells"] for row in found.table_data["map"]) == len(own_cells(wide, lambda a: a.status))
    assert set(np.unique(found.material.label)) == {-1, 0, 1, 2, 3}
    assert cluster_picture(found.material).startswith(b"\x89PNG")


def test_short_copies_of_all_zones_can_be_compared(wide, checkpoint, tmp_path):
    made = publish_wide_atlas(wide, tmp_path / "public", depths=[12])
    text = checkpoint.embed_text(["a harbour"])[0]
    groups = {
        part.zone.name: zarr.open_group(f"{made.store}/{part.zone.name}", mode="r") for part in wide.parts
    }
    rotations = [group["rotation"][...] for group in groups.values()]
    np.testing.assert_array_equal(*rotations)
    for part in wide.parts:
        exact = compute_scores(part.atlas, checkpoint, ["a harbour"]).values[0]
        group = {name: array[...] for name, array in groups[part.zone.name].arrays()}
        rotated = np.tensordot(group["rotation"] @ text, group["embeddings_d12"][0].astype(float), 1)
        products = rotated * group["scale_rotated"][0] + group["mean"] @ text
        approximate = products / group["length"][0]
        assert np.nanmax(np.abs(approximate - exact)) < 0.02
    before = {file: file.stat().st_mtime_ns for file in made.store.glob("utm*/**/*") if file.is_file()}
    publish_wide_atlas(wide, tmp_path / "public", depths=[12])
    assert before == {
        file: file.stat().st_mtime_ns for file in made.store.glob("utm*/**/*") if file.is_file()
    }
