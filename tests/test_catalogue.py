"""Names people write find what they mean, or say in one line what to write instead."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

sys.path.append(str(Path(__file__).parent / "model"))  # tiny_model lives there

from tiny_model import tiny_clip

from sat2cap import catalogue
from sat2cap.errors import ImageryError, InputError, ModelError, Sat2CapError
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.scenes.statements import stated_concepts
from sat2cap.miniworld.world import MiniImagery, World
from sat2cap.model.load import load_model
from sat2cap.training.captioner_run import load_caption_run


def test_planets_by_number() -> None:
    assert catalogue.open_imagery("miniworld:7") == MiniImagery(World(7))
    photos = catalogue.open_photos("miniworld:12", 30)
    assert isinstance(photos, MiniPhotos)
    assert (photos.world, len(photos)) == (World(12), 30)
    for source in (catalogue.open_imagery("miniworld:7").info, catalogue.open_photos("miniworld:7")):
        assert source.uri == "miniworld:7"


def test_only_names_of_the_miniature_world_have_a_planet() -> None:
    assert catalogue.find_world("miniworld:7") == World(7)
    assert catalogue.find_world("miniworld.tif") is None
    assert catalogue.find_world("") is None
    with pytest.raises(ImageryError, match="'miniworld:7/snow' names no planet; write miniworld:"):
        catalogue.find_world("miniworld:7/snow")


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
    clip = catalogue.resolve_model("miniclip")
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "catalogue.py"))
    with pytest.raises(ModelError, match=r"sat2cap train .*miniclip\.toml") as caught:
        catalogue.resolve_model("miniclip")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"sat2cap train .*captioner\.toml"):
        catalogue.resolve_captioner(None, clip)


def test_the_captioner_that_ships_is_for_the_miniature_clip() -> None:
    """Fails when the CLIP was trained anew and the captioner was not: sat2cap train runs/captioner.toml."""
    clip = catalogue.resolve_model(catalogue.MINICLIP)
    unasked = catalogue.resolve_captioner(None, clip)
    assert unasked.space == clip.text_identity
    assert unasked.dim == clip.dim
    assert unasked.identity == catalogue.resolve_captioner(catalogue.MINICAPTIONER, clip).identity
    folder = Path(catalogue.__file__).parent / "miniworld" / "captioner"
    assert json.loads((folder / "captioner.json").read_text())["identity"] == unasked.identity
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4e6
    assert load_caption_run(folder.parents[1] / "runs" / "captioner.toml").output.half
    texts = unasked.captions(clip.embed_text(["snow on the ground", "a sandy beach", "a traffic jam"]))
    assert len({stated_concepts(text) for text in texts} - {frozenset()}) > 1, texts


def test_the_captioner_is_nobodys_default_but_the_miniature_clips(tmp_path: Path) -> None:
    other = load_model(tiny_clip(tmp_path / "clip"))
    with pytest.raises(ModelError, match="is not in the space of this release's miniclip") as caught:
        catalogue.resolve_captioner(None, other)
    assert "--captioner" in str(caught.value)
    with pytest.raises(ModelError, match="captioner minicaptioner was trained for another CLIP"):
        catalogue.resolve_captioner(catalogue.MINICAPTIONER, other)
    with pytest.raises(ModelError, match="neither a folder"):
        catalogue.resolve_captioner("minicap", other)


def test_a_models_name_can_be_its_folder() -> None:
    by_name = catalogue.resolve_model(catalogue.MINICLIP)
    folder = Path(catalogue.__file__).parent / "miniworld" / "clip"
    assert catalogue.resolve_model(folder).identity == by_name.identity
