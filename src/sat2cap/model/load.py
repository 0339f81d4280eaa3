"""Loading a model by its name: a folder, a file, or a name on the Hugging Face hub."""

from dataclasses import replace
from pathlib import Path

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats import hub, huggingface, lightning, openclip
from sat2cap.model.formats.folder import CHECKPOINT_MANIFEST, read_checkpoint
from sat2cap.model.formats.huggingface import ASSUMED_PREPROCESS
from sat2cap.model.formats.published import PublishedModel, find_published_model


def load_model(spec: str | Path, clip: Checkpoint | None = None) -> Checkpoint:
    """A model by folder, file, or ``owner/name[@revision]`` on the hub, fetched if it is not there yet.

    A folder that this package, transformers or open_clip saved, or a ``.ckpt`` of the authors' training. A
    whole CLIP or SigLIP gives the paper's baseline: its image tower serves both overhead and ground. Models
    known by name get what their files do not say: `MVRL/Sat2Cap` its text tower, which is that of `clip` if
    one is given, and its overhead statistics.
    `ModelError` for anything else.
    """
    path = Path(spec)
    if path.suffix == lightning.SUFFIX and not path.is_dir():
        if not path.is_file():
            raise ModelError(f"model {str(spec)!r}: there is no such file: check the path")
        return lightning.read_lightning(path)
    if path.exists():
        return _from_folder(path, str(spec))
    if not (isinstance(spec, str) and hub.is_hub_name(spec)):
        raise ModelError(
            f"model {str(spec)!r} does not exist: give a checkpoint folder, "
            "or owner/name on the Hugging Face hub"
        )
    folder = hub.fetch_from_hub(spec)
    found = _from_folder(folder, spec)
    name, revision = hub.split_hub_name(spec)
    entry = find_published_model(name)
    card = {
        "name": name.partition("/")[2],
        "revision": hub.revision_of(folder) or revision,
        "licence": hub.licence_of(folder) or (entry.licence if entry else "unknown"),
    }
    found = replace(found, card={**found.card, **card})
    return found if entry is None else _completed(found, entry, clip)


def treat_as_published(found: Checkpoint, name: str, clip: Checkpoint | None = None) -> Checkpoint:
    """A folder's model treated as the published one of that name, of which it is a copy.

    `clip` is where its text tower comes from, if it needs one; otherwise the hub.
    """
    entry = find_published_model(name)
    if entry is None:
        raise ModelError(f"{name!r} is no known model: see sat2cap models list")
    if found.dim != entry.dim:
        raise ModelError(
            f"{found.named()} has {found.dim} numbers an embedding, and {name} {entry.dim}: it is no copy"
        )
    return _completed(replace(found, card={**found.card, "licence": entry.licence}), entry, clip)


def _completed(found: Checkpoint, entry: PublishedModel, clip: Checkpoint | None) -> Checkpoint:
    """With what is known of a model beyond its files."""
    if entry.text is not None:
        clip = clip or load_model(entry.text)
        found = replace(found, ground=found.ground or clip.ground).with_text_of(clip)
    card = {
        name: value
        for name, value in found.card.items()
        if name != ASSUMED_PREPROCESS or entry.overhead is None
    }
    return replace(
        found,
        card=card,
        overhead_preprocess=entry.overhead or found.overhead_preprocess,
        ground_preprocess=entry.ground or found.ground_preprocess,
    )


def _from_folder(folder: Path, spec: str) -> Checkpoint:
    """Whatever a folder holds."""
    if (folder / CHECKPOINT_MANIFEST).is_file():
        return read_checkpoint(folder)
    if huggingface.reads(folder):
        return huggingface.read_transformers(folder, spec)
    if (folder / openclip.CONFIG_FILE).is_file():
        return openclip.read_openclip(folder, spec)
    if folder.is_file():
        raise ModelError(f"{spec} is a file: give a folder, or a {lightning.SUFFIX} of the authors' training")
    raise ModelError(
        f"{spec} has neither {CHECKPOINT_MANIFEST} nor config.json: "
        "give a folder saved by sat2cap, transformers or open_clip"
    )
