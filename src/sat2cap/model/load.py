"""Loading a model by its name: a folder, a file, or a name on the Hugging Face hub."""

from dataclasses import replace
from pathlib import Path

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.damage import damage_in_one_line
from sat2cap.model.formats import hub, huggingface, lightning, openclip, openclip_config
from sat2cap.model.formats.checkpoint_manifest import CHECKPOINT_MANIFEST
from sat2cap.model.formats.folder import read_checkpoint
from sat2cap.model.formats.published import PublishedModel, card_of_hub_model, find_published_model
from sat2cap.model.formats.transformers_config import ASSUMED_PREPROCESS, is_transformers_folder
from sat2cap.model.naming import check_model_exists


def load_model(spec: str | Path, clip: Checkpoint | None = None) -> Checkpoint:
    """Return the model in a folder or file, or named ``owner/name[@revision]`` on the hub.

    A folder is one that this package, transformers or open_clip saved; a file is a ``.ckpt`` of the authors'
    training. A hub model is downloaded unless it is in the cache. A whole CLIP or SigLIP becomes the paper's
    baseline: its image tower embeds both overhead images and ground photos.

    Published models (`PUBLISHED_MODELS`) get what their files do not contain: `MVRL/Sat2Cap` the means and
    deviations of overhead images, and its text tower, taken from `clip` if given.

    Raises `ModelError` if there is no such model, or it cannot be read.

        load_model("openai/clip-vit-base-patch32").embed_text(["a beach"]).shape    # (1, 512)
    """
    path = Path(spec)
    check_model_exists(spec)
    if path.suffix == lightning.SUFFIX and path.is_file():
        with damage_in_one_line(str(path)):
            return lightning.read_lightning(path)
    return _read_folder(path, str(spec)) if path.exists() else _load_hub_model(str(spec), clip)


def treat_as_published(model: Checkpoint, name: str, clip: Checkpoint | None = None) -> Checkpoint:
    """Return a model, read from a folder, completed as the published model of which it is a copy.

    `clip` supplies the text tower if the published model needs one; None loads it from the hub. Raises
    `ModelError` if `name` is not in `PUBLISHED_MODELS`, or has embeddings of another length.
    """
    published = find_published_model(name)
    if published is None:
        raise ModelError(f"{name!r} is no known model: see sat2cap models list")
    if model.dim != published.dim:
        raise ModelError(
            f"{model.source_with_revision()} has {model.dim} numbers an embedding, and {name} "
            f"{published.dim}: it is no copy"
        )
    model = replace(model, card={**model.card, "licence": published.licence})
    return _complete_published(model, published, clip)


def _load_hub_model(spec: str, clip: Checkpoint | None) -> Checkpoint:
    """Return a model of the hub, with revision and licence in its card."""
    folder = hub.fetch_from_hub(spec)
    model = _read_folder(folder, spec)
    model = replace(model, card={**model.card, **card_of_hub_model(spec, folder)})
    published = find_published_model(hub.split_hub_name(spec)[0])
    return model if published is None else _complete_published(model, published, clip)


def _complete_published(model: Checkpoint, published: PublishedModel, clip: Checkpoint | None) -> Checkpoint:
    """Add to a published model the towers and preprocessing that its files do not contain."""
    if published.text is not None:
        clip = clip or load_model(published.text)
        model = replace(model, ground=model.ground or clip.ground).with_text_of(clip)
    card = dict(model.card)
    if published.overhead is not None:
        card.pop(ASSUMED_PREPROCESS, None)
    return replace(
        model,
        card=card,
        overhead_preprocess=published.overhead or model.overhead_preprocess,
        ground_preprocess=published.ground or model.ground_preprocess,
    )


def _read_folder(folder: Path, spec: str) -> Checkpoint:
    """Return the model in a folder, in whichever of the known formats it is."""
    with damage_in_one_line(str(folder)):
        if (folder / CHECKPOINT_MANIFEST).is_file():
            return read_checkpoint(folder)
        if is_transformers_folder(folder):
            return huggingface.read_transformers(folder, spec)
        if (folder / openclip_config.CONFIG_FILE).is_file():
            return openclip.read_openclip(folder, spec)
    if folder.is_file():
        raise ModelError(f"{spec} is a file: give a folder, or a {lightning.SUFFIX} of the authors' training")
    raise ModelError(
        f"{spec} has neither {CHECKPOINT_MANIFEST} nor config.json: "
        "give a folder saved by sat2cap, transformers or open_clip"
    )
