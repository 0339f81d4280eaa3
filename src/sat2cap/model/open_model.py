"""Opening a model for asking, by the names that `sat2cap.model.load` takes, without torch where possible."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.model.formats import hub
from sat2cap.model.formats.published import PublishedModel, card_of_hub_model, find_published_model
from sat2cap.model.formats.stored import open_stored
from sat2cap.model.formats.transformers_config import ASSUMED_PREPROCESS
from sat2cap.model.naming import check_model_exists
from sat2cap.model.stored_model import StoredModel

if TYPE_CHECKING:
    from sat2cap.model.checkpoint import Checkpoint


def open_query_model(spec: str | Path, text: str | Path | None = None) -> "StoredModel | Checkpoint":
    """Return the model in a folder or file, or named ``owner/name[@revision]``, opened for asking.

    `text` names the CLIP model whose text tower to use. Weights in another form than safetensors are loaded
    whole, with torch. Raises `ModelError` if there is no such model, or it cannot be read.

        open_query_model("openai/clip-vit-base-patch32").embed_text(["a beach"]).shape    # (1, 512)
    """
    for name in (spec,) if text is None else (spec, text):
        check_model_exists(name)
    model = _open(spec, text)
    if model is None:
        from sat2cap.model.load import load_model

        clip = None if text is None else load_model(text)
        loaded = load_model(spec, clip)
        return loaded if clip is None else loaded.with_text_of(clip)
    return model


def _open(spec: str | Path, text: str | Path | None) -> StoredModel | None:
    """Return the model with the text tower of `text`; None if either cannot be read without torch."""
    path = Path(spec)
    if path.exists():
        model = None if path.is_file() else _open_folder(path, str(spec))
    elif isinstance(spec, str) and path.suffix != ".ckpt" and hub.is_hub_name(spec):
        model = _open_hub_model(spec, text)
    else:
        return None  # `load_model` says what is wrong
    if model is None or text is None:
        return model
    donor = _open(text, None)
    return None if donor is None else model.with_text_of(donor)


def _open_folder(folder: Path, spec: str) -> StoredModel | None:
    def load() -> "Checkpoint":
        from sat2cap.model.load import load_model

        return load_model(spec)

    return open_stored(folder, spec, load)


def _open_hub_model(spec: str, text: str | Path | None) -> StoredModel | None:
    """Return a model of the hub, with revision and licence in its card; a published one is completed."""
    folder = hub.fetch_from_hub(spec)
    model = _open_folder(folder, spec)
    if model is None:
        return None
    model = replace(model, card={**model.card, **card_of_hub_model(spec, folder)})
    published = find_published_model(hub.split_hub_name(spec)[0])
    return model if published is None else _complete_published(model, published, text)


def _complete_published(
    model: StoredModel, published: PublishedModel, text: str | Path | None
) -> StoredModel | None:
    """Add to a published model the text tower and preprocessing that its files do not contain."""
    if published.text is not None and text is None:
        donor = _open(published.text, None)
        if donor is None:
            return None
        model = model.with_text_of(donor)
    card = dict(model.card)
    if published.overhead is not None:
        card.pop(ASSUMED_PREPROCESS, None)
    return replace(
        model,
        card=card,
        overhead_preprocess=published.overhead or model.overhead_preprocess,
        has_ground_tower=model.has_ground_tower or published.text is not None,  # with the text comes its CLIP
    )
