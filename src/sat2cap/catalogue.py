"""Names people write, to sources and models: the one place that knows both worlds, real and miniature."""

from pathlib import Path

from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError, InputError, ModelError
from sat2cap.miniworld.photos import MiniPhotos
from sat2cap.miniworld.world import MiniImagery, World
from sat2cap.model.checkpoint import Checkpoint, as_known, load_model
from sat2cap.sources.bands import AS_THEY_ARE, Shown
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.opening import open_source
from sat2cap.sources.photos import PhotoSource

MINICLIP = "miniclip"
"""The miniature CLIP that ships in the package."""

_MINIWORLD = "miniworld:"


def open_imagery(
    spec: str,
    shown: Shown = AS_THEY_ARE,
    *,
    region: Geometry | None = None,
    cache: Path | None = None,
) -> Imagery:
    """Imagery by name: ``miniworld:SEED``, or whatever `sat2cap.sources.opening.open_source` takes.

    `shown`: bands and values as colours. `region`: where a search looks. `cache`: a folder to keep tiles in.
    Raises `ImageryError`.
    """
    if spec.startswith(_MINIWORLD):
        return MiniImagery(_world(spec))
    return open_source(spec, shown, region=region, cache=cache)


def open_photos(spec: str, count: int = 12_000) -> PhotoSource:
    """Photos by name: ``miniworld:SEED``, of which the first `count`. Raises `InputError`."""
    if not spec.startswith(_MINIWORLD):
        raise InputError(f"no photos at {spec!r}: give miniworld:SEED")
    return MiniPhotos(_world(spec), count)


def resolve_model(spec: str | Path, text: str | None = None, like: str | None = None) -> Checkpoint:
    """A model by name: ``miniclip``, a folder, a ``.ckpt``, or ``owner/name[@revision]`` on the hub.

    `text` names the CLIP model whose text tower to add, `like` the known model that a folder is a copy of.
    Raises `ModelError`.
    """
    found = load_model(_miniclip() if str(spec) == MINICLIP else spec)
    if like is not None:
        found = as_known(found, like)
    return found if text is None else found.with_text_of(resolve_model(text))


def _miniclip() -> Path:
    folder = Path(__file__).parent / "miniworld" / "clip"
    if not (folder / "config.json").exists():
        raise ModelError(f"{MINICLIP} is not in this installation; run: sat2cap train runs/miniclip.toml")
    return folder


def _world(spec: str) -> World:
    number = spec.removeprefix(_MINIWORLD)
    if not number.isdecimal():
        raise ImageryError(
            f"{spec!r} names no planet; write {_MINIWORLD} and a whole number, such as {_MINIWORLD}7"
        )
    return World(int(number))
