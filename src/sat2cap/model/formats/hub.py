"""Models of the Hugging Face hub, each at one revision: looking in the cache, and downloading to it."""

import re
from collections.abc import Sequence
from pathlib import Path

from sat2cap.errors import ModelError
from sat2cap.model.json_files import read_json

WEIGHTS = (("model*.safetensors",), ("open_clip_model.safetensors",), ("pytorch_model*.bin",))
"""File patterns of each format of weights, the best first; only the first that a model has is downloaded."""

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
_SMALL_FILES = ["*.json", "*.txt", "*.model", "README.md"]
_MAX_REASON_LENGTH = 200
"""Largest number of characters quoted from the first sentence of another library's error."""


def is_hub_name(spec: str) -> bool:
    """Return whether `spec` looks like ``owner/name`` or ``owner/name@revision``, and not like a path.

    >>> is_hub_name("openai/clip-vit-base-patch32"), is_hub_name("./models/clip")
    (True, False)
    """
    return _NAME.fullmatch(spec) is not None


def split_hub_name(spec: str) -> tuple[str, str | None]:
    """Split ``owner/name@revision`` into name and revision.

    The revision is a branch, tag or commit; None stands for the newest.
    """
    name, _, revision = spec.partition("@")
    return name, revision or None


def fetch_from_hub(spec: str, refresh: bool = False) -> Path:
    """Return the local folder of ``owner/name[@revision]``, which is downloaded unless it is in the cache.

    A cached model is used without asking the network, unless `refresh` is set, which asks the hub for a newer
    version. Downloads show their progress on a terminal, and an interrupted one continues where it stopped.
    Raises `ModelError`, with the command that fetches the model, if it cannot be downloaded.
    """
    cached = None if refresh else find_in_hub_cache(spec)
    return cached or _download(spec)


def find_in_hub_cache(spec: str) -> Path | None:
    """Return the folder of a hub model in the cache of Hugging Face; None if it is missing or incomplete.

    `spec` is ``owner/name`` or ``owner/name@revision``. Asks no network.
    """
    from huggingface_hub import constants

    name, revision = split_hub_name(spec)
    cache = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    # The cache is read here, since the library's own look-up imports its whole client, which takes a second.
    branch = cache / "refs" / (revision or constants.DEFAULT_REVISION)
    commit = branch.read_text().strip() if branch.is_file() else revision
    folder = cache / "snapshots" / (commit or "")
    return folder if commit and folder.is_dir() and has_weights(folder) else None


def has_weights(folder: Path) -> bool:
    """Return whether a folder has weights in any format, with every file of sharded ones."""
    if not any(_match_files(folder, patterns) for patterns in WEIGHTS):
        return False
    return all((folder / name).is_file() for name in _sharded_weight_files(folder))


def _sharded_weight_files(folder: Path) -> set[str]:
    """Return the weight files named by a sharded checkpoint's index; empty if the weights are one file."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if not (folder / whole).is_file() and index.is_file():
            return set(read_json(index).get("weight_map", {}).values())
    return set()


def _match_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files directly in a folder that match any of the patterns; a link to nothing is none."""
    return [path for pattern in patterns for path in folder.glob(pattern) if path.is_file()]


def _download(spec: str) -> Path:
    """Download small files and the best available format of weights, and return the folder."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, revision = split_hub_name(spec)
    try:
        for patterns in WEIGHTS:
            allowed = [*_SMALL_FILES, *patterns]
            folder = Path(
                snapshot_download(name, revision=revision, allow_patterns=allowed, ignore_patterns="*/*")
            )
            if _match_files(folder, patterns) and has_weights(folder):
                return folder
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].strip()[:_MAX_REASON_LENGTH]
        raise ModelError(
            f"model {spec!r} is neither a folder here nor in the cache, and cannot be had from the "
            f"Hugging Face hub ({reason}): check the name, set HF_TOKEN if it is not open to all, and "
            f"where there is a network run: sat2cap models fetch {spec}"
        ) from error
    raise ModelError(f"model {spec!r} has no weights of a form that can be read: give another model")


def revision_of(folder: Path) -> str | None:
    """Return the commit of a folder in the cache; None for a folder elsewhere."""
    return folder.name if folder.parent.name == "snapshots" else None


def read_licence(folder: Path) -> str | None:
    """Return the licence that a model's README states in its head; None if there is none."""
    page = folder / "README.md"
    if not page.is_file():
        return None
    head = page.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
    match = re.search(r"^license:[ \t]*(\S+)", head, re.MULTILINE)
    return match[1] if match else None
