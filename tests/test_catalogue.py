"""Names people write find what they mean, or say in one line what to write instead."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from sat2cap import catalogue
from sat2cap.errors import ImageryError, InputError, ModelError, Sat2CapError
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.world import MiniImagery, World


def test_planets_by_number() -> None:
    assert catalogue.open_imagery("miniworld:7") == MiniImagery(World(7))
    photos = catalogue.open_photos("miniworld:12", 30)
    assert isinstance(photos, MiniPhotos)
    assert (photos.world, len(photos)) == (World(12), 30)
    for source in (catalogue.open_imagery("miniworld:7").info, catalogue.open_photos("miniworld:7")):
        assert source.uri == "miniworld:7"


def test_imagery_by_path(tmp_path: Path) -> None:
    path = tmp_path / "grey.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "width": 8, "height": 8, "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=from_origin(500_000, 5_000_000, 10, 10), **profile) as file:
        file.write(np.full((3, 8, 8), 90, np.uint8))
    assert catalogue.open_imagery(str(path)).info.gsd_m == pytest.approx(10, rel=0.01)


Open = Callable[[str], object]


@pytest.mark.parametrize(
    ("open_it", "spec", "error"),
    [
        (catalogue.open_imagery, "miniworld:", ImageryError),
        (catalogue.open_imagery, "miniworld:seven", ImageryError),
        (catalogue.open_imagery, "miniworld:-1", ImageryError),
        (catalogue.open_imagery, "miniworld:7.5", ImageryError),
        (catalogue.open_imagery, "nowhere.tif", ImageryError),
        (catalogue.open_photos, "miniworld:x", InputError),
        (catalogue.open_photos, "flickr", InputError),
        (catalogue.resolve_model, "nobody/knows-this", ModelError),
    ],
)
def test_an_unknown_name_is_one_line(open_it: Open, spec: str, error: type[Sat2CapError]) -> None:
    with pytest.raises(error) as caught:
        open_it(spec)
    assert issubclass(error, InputError)
    assert "\n" not in str(caught.value)
    assert spec in str(caught.value)


def test_the_miniature_clip_is_missed_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "catalogue.py"))
    with pytest.raises(ModelError, match=r"sat2cap train .*miniclip\.toml") as caught:
        catalogue.resolve_model("miniclip")
    assert "\n" not in str(caught.value)


def test_a_models_name_can_be_its_folder() -> None:
    by_name = catalogue.resolve_model(catalogue.MINICLIP)
    folder = Path(catalogue.__file__).parent / "miniworld" / "clip"
    assert catalogue.resolve_model(folder).identity == by_name.identity
