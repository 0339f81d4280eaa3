"""Models of the Hugging Face hub: found in its cache, or downloaded to it, at one revision."""

import re
from collections.abc import Sequence
from pathlib import Path

from sat2cap.errors import ModelError

WEIGHTS = (("model*.safetensors",), ("open_clip_model.safetensors",), ("pytorch_model*.bin",))
"""Forms of weights, the best first; the first that a model has is the only one downloaded."""

_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
_SMALL = ["*.json", "*.txt", "*.model", "README.md"]
_REASON = 200
"""Characters of another library's error that are passed on, of its first sentence."""


def is_hub_name(spec: str) -> bool:
    """Whether `spec` is written like ``owner/name`` or ``owner/name@revision``, and not like a path."""
    return _NAME.fullmatch(spec) is not None


def split_hub_name(spec: str) -> tuple[str, str | None]:
    """Name and revision (a branch, tag or commit; None for the newest) of ``owner/name@revision``."""
    name, _, revision = spec.partition("@")
    return name, revision or None


def fetch_from_hub(spec: str, refresh: bool = False) -> Path:
    """The local folder of ``owner/name[@revision]``, downloaded unless it is in the cache already.

    What is in the cache is used as it is, without a look at the network; `refresh` asks the hub for what is
    newest. Downloads show their progress on a terminal, and an interrupted one goes on where it was. Raises
    `ModelError` with the command that fetches it if it cannot be had.
    """
    cached = None if refresh else find_in_hub_cache(spec)
    return cached or _download(spec)


def find_in_hub_cache(spec: str) -> Path | None:
    """The folder in the cache, if the model is there whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    name, revision = split_hub_name(spec)
    try:
        folder = Path(
            snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=_SMALL)
        )
    except (LocalEntryNotFoundError, ValueError):
        return None
    return folder if has_weights(folder) else None


def has_weights(folder: Path) -> bool:
    """Whether any form of weights is there, and every part of it."""
    if not any(_matching(folder, patterns) for patterns in WEIGHTS):
        return False
    return all((folder / name).is_file() for name in _parts(folder))


def _parts(folder: Path) -> set[str]:
    """Files that an index of weights in several parts names."""
    from sat2cap.model.networks.towers import read_json

    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        if not (folder / whole).is_file() and index.is_file():
            return set(read_json(index).get("weight_map", {}).values())
    return set()


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _download(spec: str) -> Path:
    """Everything but weights, then the best form of weights that there is."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, revision = split_hub_name(spec)
    try:
        for patterns in WEIGHTS:
            wanted = [*_SMALL, *patterns]
            folder = Path(
                snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns="*/*")
            )
            if _matching(folder, patterns) and has_weights(folder):
                return folder
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0].strip()[:_REASON]
        raise ModelError(
            f"model {spec!r} is neither a folder here nor in the cache, and cannot be had from the "
            f"Hugging Face hub ({reason}): check the name, set HF_TOKEN if it is not open to all, and "
            f"where there is a network run: sat2cap models fetch {spec}"
        ) from error
    raise ModelError(f"model {spec!r} has no weights of a form that can be read: give another model")


def revision_of(folder: Path) -> str | None:
    """The commit that a folder of the cache holds."""
    return folder.name if folder.parent.name == "snapshots" else None


def licence_of(folder: Path) -> str | None:
    """The licence that a model's page states, if its README is there and has one."""
    page = folder / "README.md"
    if not page.is_file():
        return None
    head = page.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
    found = re.search(r"^license:[ \t]*(\S+)", head, re.MULTILINE)
    return found[1] if found else None
