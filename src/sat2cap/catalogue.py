"""Imagery, photos and models opened by the names that people write, of the real and the miniature world."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.arguments import check_path
from sat2cap.errors import ImageryError, InputError, ModelError

# Networks, photos and planets are imported where a name asks for them: each takes seconds, or needs an extra.
if TYPE_CHECKING:
    from odc.geo.geom import Geometry

    from sat2cap.imagery import BandRendering, Imagery
    from sat2cap.miniworld import World
    from sat2cap.model import Captioner, Checkpoint, QueryModel
    from sat2cap.photos import ListedPhotos, PhotoFiles, PhotoSource, TableRecords, YfccRecords

MINICLIP = "miniclip"
"""The miniature CLIP that ships in the package."""
MINICAPTIONER = "minicaptioner"
"""The captioner for it, which ships too."""

_MINIWORLD = "miniworld:"
_MODEL_FORMS = "a folder, a file or a name of a model"
_TABLES = (".csv", ".parquet", ".geoparquet", ".pq")


def open_imagery(
    spec: str,
    rendering: BandRendering | None = None,
    *,
    region: Geometry | None = None,
    cache: Path | None = None,
) -> Imagery:
    """Open imagery by name: ``miniworld:SEED``, or whatever `sat2cap.imagery.opening.open_source` takes.

    `rendering`: how bands become colours, None for the default. `region`: where a search looks. `cache`: a
    folder to keep tiles in. Raises `ImageryError`.
    """
    world = find_world(spec)
    if world is not None:
        from sat2cap.miniworld import MiniImagery

        return MiniImagery(world)
    from sat2cap.imagery import DEFAULT_RENDERING, open_source

    return open_source(spec, rendering or DEFAULT_RENDERING, region=region, cache=cache)


def find_world(uri: str) -> World | None:
    """Return the planet that ``miniworld:SEED`` names, or None for a name of anything else.

    Raises `ImageryError` if what follows ``miniworld:`` is not a whole number.

    Example:
        find_world("miniworld:7")     # World(7)
        find_world("sentinel.tif")    # None
    """
    if not uri.startswith(_MINIWORLD):
        return None
    seed = uri.removeprefix(_MINIWORLD)
    if not seed.isdecimal():
        raise ImageryError(
            f"{uri!r} names no planet; write {_MINIWORLD} and a whole number, such as {_MINIWORLD}7"
        )
    from sat2cap.miniworld import World

    return World(int(seed))


def open_photos(
    spec: str | Path,
    count: int | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    files: PhotoFiles | None = None,
    licence: str = "unknown",
) -> PhotoSource:
    """Open photos by name.

    ``miniworld:SEED``      the first `count` photos of a planet, 12,000 if None
    ``FOLDER``              photos with EXIF, under `licence`
    ``shards:PATH``         shards in the paper's layout
    ``yfcc:FILE``           metadata of YFCC100M; the images are in `files`
    ``table:FILE``          a table (the prefix may be left out for .csv and .parquet), whose images are in
                            `files`; `columns` maps fields to column names

    Raises `InputError` if the name means nothing, or is not usable with the other arguments.
    """
    check_path(spec, "photos", "a folder, shards:FOLDER, table:FILE, yfcc:FILE or miniworld:SEED")
    spec = str(spec)
    world = find_world(spec)
    if world is not None:
        from sat2cap.miniworld import MiniPhotos

        return MiniPhotos(world) if count is None else MiniPhotos(world, count)
    if count is not None:
        raise InputError(
            f"count {count} is for miniworld only; leave it out, or shorten the list {spec!r} itself"
        )
    from sat2cap.photos import ExifFolder, TableRecords, YfccRecords, open_shards

    kind, colon, rest = spec.partition(":")
    if kind == "shards" and colon:
        return open_shards(rest)
    if kind == "yfcc" and colon:
        return _join_files(YfccRecords(Path(rest)), files)
    if (kind == "table" and colon) or Path(spec).suffix.lower() in _TABLES:
        return _join_files(TableRecords(Path(rest if kind == "table" else spec), dict(columns or {})), files)
    if Path(spec).is_dir():
        return ExifFolder(Path(spec), licence)
    raise InputError(
        f"no photos at {spec!r}: give a folder, yfcc:FILE, table:FILE (CSV, Parquet, GeoParquet), "
        "shards:FOLDER or miniworld:SEED"
    )


def open_listed_images(
    files: str | None = None,
    download: Path | None = None,
    mirror: str = "",
    per_site: int = 4,
    per_second: float = 8.0,
) -> PhotoFiles | None:
    """Open the images of listed photos: `files` is a folder or tars, `download` a folder to download to.

    `mirror`, `per_site` (requests at once) and `per_second` are settings of `Downloads`. Returns None if
    neither is given. Raises `InputError` if both are, or if `files` does not exist.
    """
    if files is not None and download is not None:
        raise InputError(f"both files {files!r} and download {str(download)!r} are given; give one")
    from sat2cap.photos import Downloads, open_photo_files

    if files is not None:
        return open_photo_files(files)
    return None if download is None else Downloads(download, mirror, per_site, per_second)


def _join_files(records: YfccRecords | TableRecords, files: PhotoFiles | None) -> ListedPhotos:
    """Join a list with the files that hold its images. Raises `InputError` if either is missing."""
    if not records.path.is_file():
        raise InputError(f"photos {str(records.path)!r}: there is no such file; check the path")
    if files is None:
        raise InputError(
            f"{records.uri} lists photos without their images; say where these are (--files) "
            "or where to download them to (--download)"
        )
    from sat2cap.photos import ListedPhotos

    return ListedPhotos(records, files)


def resolve_model(spec: str | Path, text: str | None = None, like: str | None = None) -> Checkpoint:
    """Load a model by name: ``miniclip``, a folder, a ``.ckpt``, or ``owner/name[@revision]`` on the hub.

    `text` names the CLIP model whose text tower to add, `like` the published model that a folder is a copy
    of. Raises `ModelError` if there is no such model or it cannot be loaded.
    """
    from sat2cap.model import load_model, treat_as_published

    check_path(spec, "model", _MODEL_FORMS)
    clip = None if text is None else resolve_model(text)
    checkpoint = load_model(_miniclip_folder() if str(spec) == MINICLIP else spec, clip)
    if like is not None:
        checkpoint = treat_as_published(checkpoint, like, clip)
    return checkpoint if clip is None else checkpoint.with_text_of(clip)


def resolve_query_model(spec: str | Path, text: str | Path | None = None) -> QueryModel:
    """Open a model for asking, by the names that `resolve_model` takes; without torch where possible.

    `text` names the CLIP model whose text tower to use. Raises `ModelError` if there is no such model.
    """
    from sat2cap.model import open_query_model

    check_path(spec, "model", _MODEL_FORMS)
    check_path(spec if text is None else text, "text", _MODEL_FORMS)

    def folder_of(name: str | Path) -> str | Path:
        return _miniclip_folder() if str(name) == MINICLIP else name

    return open_query_model(folder_of(spec), None if text is None else folder_of(text))


def resolve_captioner(
    spec: str | Path | None, checkpoint: Checkpoint, tokenizer: str | Path = "gpt2"
) -> Captioner:
    """Load a captioner by name for a model's embeddings: ``minicaptioner``, a folder, or a file of CLIPCap's.

    None stands for ``minicaptioner`` if the model is in the miniature CLIP's space. `tokenizer` is that of
    `load_captioner`. Raises `ModelError` if there is none, or if it was trained for another space.
    """
    if spec is None:
        captioner = _load_minicaptioner()
        if captioner.space != checkpoint.text_identity:
            name = checkpoint.card.get("name", "this model")
            raise ModelError(
                f"{name} is not in the space of this release's {MINICLIP}, as {MINICAPTIONER} is: give "
                '--captioner, a folder (sat2cap train, method = "captioner") or a file of CLIPCap\'s'
            )
        return captioner
    from sat2cap.model import load_captioner

    captioner = _load_minicaptioner() if str(spec) == MINICAPTIONER else load_captioner(spec, tokenizer)
    captioner.check_model(checkpoint)
    return captioner


def has_shipped_captioner(model: QueryModel) -> bool:
    """Return whether the captioner that ships is in a model's space; needs no torch."""
    from sat2cap.model import CAPTIONER_MANIFEST

    path = Path(__file__).parent / "miniworld" / "captioner" / CAPTIONER_MANIFEST
    identity = model.text_identity
    if identity is None or not path.exists():
        return False
    return bool(json.loads(path.read_text(encoding="utf-8")).get("space") == identity)


def _miniclip_folder() -> Path:
    return _shipped_folder(MINICLIP, "clip", "config.json", "runs/miniclip.toml")


def _load_minicaptioner() -> Captioner:
    """Load the captioner that ships."""
    from sat2cap.model import CAPTIONER_MANIFEST, load_captioner

    folder = _shipped_folder(MINICAPTIONER, "captioner", CAPTIONER_MANIFEST, "runs/captioner.toml")
    captioner = load_captioner(folder)
    return replace(captioner, card={**captioner.card, "name": MINICAPTIONER})


def _shipped_folder(name: str, folder: str, file: str, run_file: str) -> Path:
    """Return a folder of weights in the package. Raises `ModelError` if it lacks `file`."""
    path = Path(__file__).parent / "miniworld" / folder
    if not (path / file).exists():
        raise ModelError(f"{name} is not in this installation; run: sat2cap train {run_file}")
    return path
