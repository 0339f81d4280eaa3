"""Optional extras of this package: which modules each brings, and checking for them before any work."""

from importlib.util import find_spec
from typing import Literal

from sat2cap.errors import MissingExtraError

EXTRA_OF_MODULE = {
    "torch": "embed",
    "transformers": "embed",
    "lightning_fabric": "train",
    "peft": "train",
    "tensorboard": "log",
    "wandb": "log",
    "pystac_client": "stac",
    "pystac": "stac",
    "sentencepiece": "siglip",
    "google.protobuf": "siglip",
    "faiss": "bench",
    "h5py": "bench",
    "av": "video",
    "pillow_heif": "heic",
    "sklearn": "evaluate",
    "duckdb": "pairs",
    "timezonefinder": "pairs",
    "pycocoevalcap": "captions",
    "sentence_transformers": "captions",
    "bert_score": "captions",
    "fastapi": "serve",
    "uvicorn": "serve",
    "titiler.core": "serve",
    "rio_tiler": "serve",
    "morecantile": "serve",
    "starlette": "serve",
    "obstore": "cloud",
    "ray": "cluster",
    "zarr": "publish",
    "zarr_cm": "publish",
    "psutil": "demo",
}
"""Extra in pyproject.toml by module name, as in an import statement; a test holds it against that file."""

Extra = Literal["embed", "train", "pairs", "evaluate", "demo", "publish", "cluster"]
"""An extra without which a command or a call cannot work at all."""

EXTRAS_WITHIN: dict[Extra, tuple[str, ...]] = {
    "embed": ("embed",),
    "train": ("embed", "train"),
    "pairs": ("pairs",),
    "evaluate": ("embed", "evaluate"),
    "publish": ("publish",),
    "cluster": ("embed", "cluster"),
    "demo": ("embed", "train", "pairs", "evaluate", "demo"),
}
"""The extras whose modules an extra brings, as pyproject.toml nests them."""


def explain_missing_module(module: str | None) -> str | None:
    """Return one line that names the extra to install for a module that is missing.

    `module` is the `name` of a `ModuleNotFoundError`, such as ``"pystac_client.client"``. None for a module
    that no extra brings: its absence is a broken installation or a mistake in the code, which deserves its
    traceback.
    """
    for extra_module, extra in EXTRA_OF_MODULE.items():
        if module == extra_module or (module or "").startswith(f"{extra_module}."):
            install = f"pip install 'sat2cap[{extra}]'"
            return f"this command needs {extra_module}, which comes with an extra: {install}"
    return None


def require_extra(extra: Extra, purpose: str) -> None:
    """Raise `MissingExtraError` if a module that `extra` brings is not installed; nothing is imported.

    To be called before any work; `purpose` begins the message, such as ``"sat2cap train"`` or
    ``"embedding"``.

    >>> require_extra("embed", "embedding")  # doctest: +SKIP
    MissingExtraError: embedding needs torch and transformers, not installed; pip install 'sat2cap[embed]'
    """
    missing = _find_missing(extra)
    if missing:
        names = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
        raise MissingExtraError(f"{purpose} needs {names}, not installed; pip install 'sat2cap[{extra}]'")


def has_extra(extra: Extra) -> bool:
    """Return whether every module that `extra` brings is installed; nothing is imported."""
    return not _find_missing(extra)


def _find_missing(extra: Extra) -> list[str]:
    """Return the modules that `extra` brings and that are not installed."""
    modules = [name for name, brought_by in EXTRA_OF_MODULE.items() if brought_by in EXTRAS_WITHIN[extra]]
    return [name for name in modules if find_spec(name) is None]
