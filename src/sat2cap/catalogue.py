"""Names people write, to sources and models: the one place that knows both worlds, real and miniature."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from odc.geo.geom import Geometry

from sat2cap.errors import ImageryError, InputError, ModelError
from sat2cap.imagery import DEFAULT_RENDERING, BandRendering, Imagery, open_source
from sat2cap.miniworld import MiniImagery, MiniPhotos, World
from sat2cap.model import (
    CAPTIONER_MANIFEST,
    Captioner,
    Checkpoint,
    load_captioner,
    load_model,
    treat_as_published,
)
from sat2cap.photos import (
    Downloads,
    ExifFolder,
    ListedPhotos,
    PhotoFiles,
    PhotoSource,
    TableRecords,
    YfccRecords,
    open_files,
    open_shards,
)

MINICLIP = "miniclip"
"""The miniature CLIP that ships in the package."""
MINICAPTIONER = "minicaptioner"
"""The captioner for it, which ships too."""

_MINIWORLD = "miniworld:"
_TABLES = (".csv", ".parquet", ".geoparquet", ".pq")


def open_imagery(
    spec: str,
    rendering: BandRendering = DEFAULT_RENDERING,
    *,
    region: Geometry | None = None,
    cache: Path | None = None,
) -> Imagery:
    """Imagery by name: ``miniworld:SEED``, or whatever `sat2cap.imagery.opening.open_source` takes.

    `rendering`: how bands become colours. `region`: where a search looks. `cache`: a folder to keep
    tiles in. Raises `ImageryError`.
    """
    world = find_world(spec)
    if world is not None:
        return MiniImagery(world)
    return open_source(spec, rendering, region=region, cache=cache)


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
    return World(int(seed))


def open_photos(
    spec: str,
    count: int | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    files: PhotoFiles | None = None,
    licence: str = "unknown",
) -> PhotoSource:
    """Photos by name. Raises `InputError`.

    ``miniworld:SEED``, of which the first `count` (12,000 if None); a folder of photos with EXIF, under
    `licence`; ``shards:PATH`` in the paper's layout; ``yfcc:FILE`` and ``table:FILE`` (or a path that ends as
    a table does), whose images are in `files`, the latter with `columns` from field to column name.
    """
    world = find_world(spec)
    if world is not None:
        return MiniPhotos(world) if count is None else MiniPhotos(world, count)
    if count is not None:
        raise InputError(f"count {count} is for miniworld only; leave it out, or cut the list of {spec!r}")
    kind, colon, rest = spec.partition(":")
    if kind == "shards" and colon:
        return open_shards(rest)
    if kind == "yfcc" and colon:
        return _listed(YfccRecords(Path(rest)), files)
    if (kind == "table" and colon) or Path(spec).suffix.lower() in _TABLES:
        return _listed(TableRecords(Path(rest if kind == "table" else spec), dict(columns or {})), files)
    if Path(spec).is_dir():
        return ExifFolder(Path(spec), licence)
    raise InputError(
        f"no photos at {spec!r}: give a folder, yfcc:FILE, table:FILE (CSV, Parquet, GeoParquet), "
        "shards:FOLDER or miniworld:SEED"
    )


def photo_files(
    files: str | None = None,
    download: Path | None = None,
    mirror: str = "",
    per_site: int = 4,
    per_second: float = 8.0,
) -> PhotoFiles | None:
    """Where listed photos' images are: a folder or tars, or downloads. Raises `InputError`."""
    if files is not None and download is not None:
        raise InputError(f"both files {files!r} and download {str(download)!r} are given; give one")
    if files is not None:
        return open_files(files)
    return None if download is None else Downloads(download, mirror, per_site, per_second)


def _listed(records: YfccRecords | TableRecords, files: PhotoFiles | None) -> ListedPhotos:
    if not records.path.is_file():
        raise InputError(f"photos {str(records.path)!r}: there is no such file; check the path")
    if files is None:
        raise InputError(
            f"{records.uri} lists photos without their images; say where these are (--files) "
            "or where to download them to (--download)"
        )
    return ListedPhotos(records, files)


def resolve_model(spec: str | Path, text: str | None = None, like: str | None = None) -> Checkpoint:
    """A model by name: ``miniclip``, a folder, a ``.ckpt``, or ``owner/name[@revision]`` on the hub.

    `text` names the CLIP model whose text tower to add, `like` the known model that a folder is a copy of.
    Raises `ModelError`.
    """
    clip = None if text is None else resolve_model(text)
    found = load_model(_miniclip() if str(spec) == MINICLIP else spec, clip)
    if like is not None:
        found = treat_as_published(found, like, clip)
    return found if clip is None else found.with_text_of(clip)


def resolve_captioner(
    spec: str | Path | None, checkpoint: Checkpoint, tokenizer: str | Path = "gpt2"
) -> Captioner:
    """A captioner by name for a model's embeddings: ``minicaptioner``, a folder, or a file of CLIPCap's.

    None is ``minicaptioner``, where the model is in the miniature CLIP's space. `tokenizer`: as
    `load_captioner` has it. Raises `ModelError`, also for a captioner of another space.
    """
    if spec is None:
        found = _minicaptioner()
        if found.space != checkpoint.text_identity:
            name = checkpoint.card.get("name", "this model")
            raise ModelError(
                f"{name} is not in the space of this release's {MINICLIP}, as {MINICAPTIONER} is: give "
                '--captioner, a folder (sat2cap train, method = "captioner") or a file of CLIPCap\'s'
            )
        return found
    found = _minicaptioner() if str(spec) == MINICAPTIONER else load_captioner(spec, tokenizer)
    found.check_model(checkpoint)
    return found


def _miniclip() -> Path:
    return _shipped(MINICLIP, "clip", "config.json", "runs/miniclip.toml")


def _minicaptioner() -> Captioner:
    found = load_captioner(_shipped(MINICAPTIONER, "captioner", CAPTIONER_MANIFEST, "runs/captioner.toml"))
    return replace(found, card={**found.card, "name": MINICAPTIONER})


def _shipped(name: str, folder: str, file: str, run_file: str) -> Path:
    """A folder of the package, which has a file of this name if it is there."""
    found = Path(__file__).parent / "miniworld" / folder
    if not (found / file).exists():
        raise ModelError(f"{name} is not in this installation; run: sat2cap train {run_file}")
    return found
