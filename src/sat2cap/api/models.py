"""Models by name: loading, listing, converting, exporting and calibrating them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from sat2cap.api.inputs import PromptSet
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import check_path, check_text
from sat2cap.atlas import USER_SPEC_KEY, Atlas
from sat2cap.catalogue import resolve_model
from sat2cap.errors import ModelError, PromptError
from sat2cap.stores import require_local

if TYPE_CHECKING:
    import pandas as pd

    from sat2cap.model import Checkpoint, QueryModel
    from sat2cap.pairs import PairSet

Model = TypeVar("Model")


def load_model(model: str | Path, text: str | Path | None = None, like: str | None = None) -> Checkpoint:
    """Return a model by name.

    `model` is a folder, a ``.ckpt``, ``owner/name[@revision]`` on the Hugging Face hub, or ``miniclip``;
    `text` the CLIP model whose text tower to add, for a model that has none; `like` the published model that
    a folder is a copy of. A folder that does not say how images are prepared is warned of. Raises
    `ModelError`.

    >>> load_model("miniclip").dim
    128
    """
    check_path(model, "model", "a folder, a file or a name of a model")
    from sat2cap.model import ASSUMED_PREPROCESS

    if like is not None:
        check_text(like, "like", "MVRL/Sat2Cap")
    checkpoint = resolve_model(model, None if text is None else str(text), like)
    if ASSUMED_PREPROCESS in checkpoint.card:
        warnings.warn(_preprocess_warning(str(model), checkpoint.card[ASSUMED_PREPROCESS]), stacklevel=2)
    return checkpoint


def list_models() -> pd.DataFrame:
    """Return the models known by name: one row each, indexed by the name that `load_model` takes.

    Columns: ``dim`` (numbers in an embedding), ``pixels`` (side of the image it reads), ``licence``,
    ``cached`` (whether it is on this machine) and ``about``.
    """
    import pandas as pd

    from sat2cap.model import PUBLISHED_MODELS, find_in_hub_cache

    rows = [
        (m.name, m.dim, m.pixels, m.licence, find_in_hub_cache(m.name) is not None, m.about)
        for m in PUBLISHED_MODELS
    ]
    return pd.DataFrame(rows, columns=["name", "dim", "pixels", "licence", "cached", "about"]).set_index(
        "name"
    )


def convert_model(
    model: str | Path, out: str | Path, text: str | Path | None = None, like: str | None = None
) -> Path:
    """Write any model as one folder that needs no network (docs/checkpoint.md), and return it.

    Raises `ModelError`, and `InputError` if `out` is an address.
    """
    require_local(out)
    from sat2cap.model import save_checkpoint

    return save_checkpoint(resolve_model(model, None if text is None else str(text), like), Path(out))


def export_model(model: str | Path | Checkpoint, out: str | Path) -> Path:
    """Write a trained model in Hugging Face's layout with a card of its metrics, and return the folder.

    Raises `ModelError`, and `InputError` if `out` is an address.
    """
    check_path(model, "model", "a name or path, or a model that was loaded", opened="embed_overhead")
    require_local(out)
    from sat2cap.model import export_hugging_face

    checkpoint = resolve_model(model) if isinstance(model, str | Path) else model
    return export_hugging_face(checkpoint, Path(out))


def calibrate_model(
    model: str | Path | Checkpoint,
    pairs: str | Path | PairSet,
    out: str | Path,
    split: str = "val",
    progress: ProgressLike = None,
) -> Path:
    """Add held-out photos to a model, so that its contrast tells the share of photos that CLIP would say fit.

    The model is written to the folder `out`, which is returned.

    `pairs` are pairs that the model was not trained on; up to 2,000 of `split` are kept. Raises `ModelError`,
    `PairsError`, and `InputError` if `out` is an address.
    """
    require_local(out)
    from sat2cap.model import choose_compute, save_checkpoint
    from sat2cap.pairs import PairSet, open_pairs
    from sat2cap.training import calibrate

    checkpoint = resolve_model(model) if isinstance(model, str | Path) else model
    opened = pairs if isinstance(pairs, PairSet) else open_pairs(pairs)
    compute = choose_compute()
    with listening(progress) as report:
        calibrated = calibrate(
            checkpoint.to(compute.device),
            opened,
            split,
            cache=Path(out).parent / "cache",
            precision=compute.precision,
            progress=report,
        )
    return save_checkpoint(calibrated, Path(out))


def _preprocess_warning(model: str, whose: str) -> str:
    """Return a warning for a model without preprocessing settings, where those of `whose` model are used."""
    fix = (
        f"if it is a copy of MVRL/Sat2Cap, say so: sat2cap models convert {model} --as MVRL/Sat2Cap -o FOLDER"
        if whose == "CLIP"
        else "put its preprocessor_config.json there"
    )
    return f"{model} does not say how images are prepared, so {whose}'s way is taken; {fix}"


def find_atlas_model(atlas: Atlas, resolve: Callable[[str | Path], Model]) -> Model:
    """Return what `resolve` opens under the name of the model that made an atlas, which the atlas keeps.

    A relative path is looked up from here, then from each folder above the atlas. Raises `ModelError`.
    """
    card = atlas.model.get("card", {})
    spec = str(card.get(USER_SPEC_KEY) or atlas.model.get("source", ""))
    folders = () if atlas.store.folder is None else atlas.store.folder.resolve().parents
    beside = next((folder / spec for folder in folders if spec and (folder / spec).exists()), None)
    try:
        return resolve(spec)
    except ModelError as error:
        if beside is not None:
            return resolve(str(beside))
        name = card.get("name", "a model without a name")
        raise ModelError(
            f"atlas {atlas.name!r} was made by {name}, which is not at {spec!r}; "
            "say where it is with --model, or model= in Python"
        ) from error


def embed_examples(checkpoint: QueryModel, prompts: PromptSet) -> dict[str, NDArray[np.float32]]:
    """Return the unit vectors, float32 ``(D,)``, of the prompts that are images or vectors, by name.

    Images are embedded by the model's ground tower. Raises `PromptError` for a vector of another length than
    the model's, and `ModelError` for an image where the model has no ground tower.
    """
    vectors = dict(prompts.vectors)
    if prompts.images:
        embedded = checkpoint.embed_ground(list(prompts.images.values()))
        vectors |= dict(zip(prompts.images, embedded, strict=True))
    for name, vector in vectors.items():
        if vector.shape != (checkpoint.dim,):
            name = name if name.startswith("negatives") else f"prompt {name}"
            rule = f"has {vector.size} numbers, and this model's embeddings {checkpoint.dim}"
            raise PromptError(f"{name} {rule}; give one made by this model")
    return {name: vector / np.linalg.norm(vector) for name, vector in vectors.items()}
