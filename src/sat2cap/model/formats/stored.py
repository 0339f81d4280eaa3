"""Opening the models in folders for asking: this package's own, those of transformers and of open_clip.

Weights are mapped from safetensors. What is not in that form, pickles and Lightning's checkpoints, is read
whole (`sat2cap.model.load`), with torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json
from sat2cap.model.calibration import read_calibration
from sat2cap.model.damage import damage_in_one_line
from sat2cap.model.file_hashes import check_files
from sat2cap.model.formats import openclip_config, transformers_config
from sat2cap.model.formats.checkpoint_manifest import (
    CALIBRATION_FILE,
    CHECKPOINT_MANIFEST,
    read_checkpoint_manifest,
)
from sat2cap.model.json_files import read_json
from sat2cap.model.networks import architectures
from sat2cap.model.networks.dynamic_numpy import read_dynamic_weights
from sat2cap.model.networks.text_numpy import ACTIVATIONS, NumpyTextTower
from sat2cap.model.stored_model import StoredModel, StoredText
from sat2cap.model.tokenization import has_tokenizer, read_tokenizer
from sat2cap.model.weight_hashes import remembered_hash
from sat2cap.model.weights import Tensors, as_float32, digest_as_float32, map_tensors, select_weights

Loader = Callable[[], Any]
"""Reads the whole model, with torch."""
_Guard = Callable[[Callable[[], Any]], Callable[[], Any]]


@dataclass(frozen=True)
class _Tower:
    """One tower of a folder: its completed config, its weights by its own names, and their files."""

    config: Mapping[str, Any]
    weights: Tensors
    files: Sequence[Path]

    def digest(self) -> str:
        """Return the hash of the weights in float32, remembered beside their files."""
        shapes = {name: list(tensor.shape) for name, tensor in sorted(self.weights.items())}
        subject = f"{self.config['model_type']} {shapes}"
        return remembered_hash(self.files, subject, lambda: digest_as_float32(self.weights, self.weights))


def open_stored(folder: Path, spec: str, load: Loader) -> StoredModel | None:
    """Return the model in a folder, named `spec`; None if it is not in a form that this module reads.

    Raises `ModelError` if it is incomplete or damaged.
    """
    with damage_in_one_line(str(folder)):
        if (folder / CHECKPOINT_MANIFEST).is_file():
            return _open_checkpoint(folder, load)
        if transformers_config.is_transformers_folder(folder):
            return _open_transformers(folder, spec, load)
        if (folder / openclip_config.CONFIG_FILE).is_file():
            return _open_openclip(folder, spec, load)
    return None


def _open_checkpoint(folder: Path, load: Loader) -> StoredModel | None:
    """Open the folder of a checkpoint: maps its weights, and compares them with their hashes."""
    manifest = read_checkpoint_manifest(folder)
    parts = manifest.parts
    overhead_folder = folder if parts.get("overhead") == "top" else folder / "overhead"
    overhead_weights = (overhead_folder / transformers_config.WEIGHTS_FILE).relative_to(folder).as_posix()
    check_files(
        folder, manifest.hashes, lambda name: not name.startswith("ground/") and name != overhead_weights
    )
    overhead = _open_tower_folder(overhead_folder, architectures.CLIP_IMAGE)

    def digest_overhead() -> str:
        check_files(folder, manifest.hashes, lambda name: name == overhead_weights)
        return overhead.digest()

    text, as_opened = None, _as_opened(folder, [folder / CHECKPOINT_MANIFEST])
    if parts.get("text"):
        text_folder = folder / "text"
        open_tower = partial(_open_tower_folder, text_folder, architectures.CLIP_TEXT)
        text = _stored_text(open_tower, text_folder, manifest.text_scale, as_opened)
        if not _can_compute(read_json(text_folder / transformers_config.CONFIG_FILE)):
            return None
    dynamic_file, calibration_file = folder / "dynamic.safetensors", folder / CALIBRATION_FILE
    dim = architectures.output_size(overhead.config)
    return StoredModel(
        dim=dim,
        text=text,
        dynamic_weights=read_dynamic_weights(map_tensors(dynamic_file), str(dynamic_file))
        if parts.get("dynamic")
        else None,
        logit_scale=manifest.logit_scale,
        encoding=manifest.encoding,
        overhead_preprocess=manifest.overhead_preprocess,
        digest_overhead=as_opened(digest_overhead),
        load=as_opened(load),
        has_ground_tower=bool(parts.get("ground")),
        card=manifest.card,
        calibration=read_calibration(map_tensors(calibration_file), dim, str(calibration_file))
        if parts.get("calibration")
        else None,
    )


def _open_transformers(folder: Path, spec: str, load: Loader) -> StoredModel | None:
    """Open a folder that transformers saved; None if its weights are no safetensors."""
    files = transformers_config.safetensors_files(folder)
    if not files:
        return None
    values = read_json(folder / transformers_config.CONFIG_FILE)
    kind = transformers_config.find_model_class(values, folder)
    transformers_config.refuse_other_weights(folder, values)
    weights = {name: tensor for file in files for name, tensor in map_tensors(file).items()}
    if kind.startswith("CLIP"):
        transformers_config.check_projection(weights, folder)
    as_opened = _as_opened(folder, [folder / transformers_config.CONFIG_FILE, *files])
    overhead = _make_tower(transformers_config.image_tower_config(values, kind), weights, files, folder)
    text, scale = None, _logit_scale(weights, folder)
    if kind in transformers_config.BOTH_TOWERS and has_tokenizer(folder):
        config = transformers_config.text_tower_config(values, kind)
        if not _can_compute(config):
            return None
        text = _stored_text(lambda: _make_tower(config, weights, files, folder), folder, scale, as_opened)
    size = int(overhead.config["image_size"])
    preprocess = transformers_config.choose_preprocess(folder, kind, size)
    card = transformers_config.model_card(folder, kind, spec)
    is_whole = kind in transformers_config.BOTH_TOWERS
    return _plain_model(overhead, text, scale, preprocess, card, as_opened(load), has_ground_tower=is_whole)


def _open_openclip(folder: Path, spec: str, load: Loader) -> StoredModel | None:
    """Open a folder that open_clip saved, whose weights get the names that transformers uses."""
    values = read_json(folder / openclip_config.CONFIG_FILE)
    model = values.get("model_cfg", {})
    openclip_config.refuse_other_architectures(model, folder)
    file = folder / openclip_config.WEIGHTS_FILE
    if not file.is_file():
        raise ModelError(openclip_config.no_weights(folder))
    weights = openclip_config.rename_weights(map_tensors(file))
    shared = {
        "projection_dim": int(model["embed_dim"]),
        "hidden_act": "quick_gelu" if model.get("quick_gelu") else "gelu",
    }
    image_config = {**openclip_config.image_config(model["vision_cfg"]), **shared}
    overhead = _make_tower({**image_config, "model_type": architectures.CLIP_IMAGE}, weights, [file], folder)
    as_opened = _as_opened(folder, [folder / openclip_config.CONFIG_FILE, file])
    text, scale = None, _logit_scale(weights, folder)
    if has_tokenizer(folder):
        config = {**openclip_config.text_config(model["text_cfg"]), **shared}
        config["model_type"] = architectures.CLIP_TEXT
        text = _stored_text(lambda: _make_tower(config, weights, [file], folder), folder, scale, as_opened)
    size = int(overhead.config["image_size"])
    preprocess = openclip_config.read_preprocess(values.get("preprocess_cfg", {}), size, folder)
    card = openclip_config.model_card(spec)
    return _plain_model(overhead, text, scale, preprocess, card, as_opened(load), has_ground_tower=True)


def _plain_model(
    overhead: _Tower,
    text: StoredText | None,
    scale: float,
    preprocess: Any,
    card: dict[str, Any],
    load: Loader,
    *,
    has_ground_tower: bool,
) -> StoredModel:
    """Return a CLIP or SigLIP without a Dynamic Encoder."""
    return StoredModel(
        dim=architectures.output_size(overhead.config),
        text=text,
        dynamic_weights=None,
        logit_scale=scale,
        encoding="reference",
        overhead_preprocess=preprocess,
        digest_overhead=overhead.digest,
        load=load,
        has_ground_tower=has_ground_tower,
        card=card,
    )


_SHARED_TOWERS: WeakValueDictionary[Any, NumpyTextTower] = WeakValueDictionary()
"""Text towers in use by the state of their files: atlases of one model share its converted weights."""


def _stored_text(
    open_tower: Callable[[], _Tower], folder: Path, scale: float | None, as_opened: _Guard
) -> StoredText:
    def build() -> NumpyTextTower:
        tower = open_tower()
        states = tuple((file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in tower.files)
        key = states, canonical_json(dict(tower.config))
        return _SHARED_TOWERS.setdefault(key, NumpyTextTower(tower.config, tower.weights))

    def digest_weights() -> str:
        return open_tower().digest()

    read_words = as_opened(lambda: read_tokenizer(folder))
    return StoredText(as_opened(build), read_words, scale, str(folder), as_opened(digest_weights))


def _as_opened(folder: Path, files: Sequence[Path]) -> _Guard:
    """Return what makes a function that reads more of a model later refuse to, if `files` have changed since.

    Another model in the same folder, such as one that was trained again, would otherwise be mixed with what
    was read of the first.
    """

    def stamps() -> list[tuple[int, int, int]]:
        return [(s.st_ino, s.st_mtime_ns, s.st_size) for s in (file.stat() for file in files)]

    before = stamps()

    def guard(read: Callable[[], Any]) -> Callable[[], Any]:
        def read_as_opened() -> Any:
            try:
                is_same = stamps() == before
            except OSError:
                is_same = False
            if not is_same:
                raise ModelError(f"{folder} has changed since it was opened: open it again")
            return read()

        return read_as_opened

    return guard


def _open_tower_folder(folder: Path, default_type: str) -> _Tower:
    """Return a tower that `towers.save_tower` wrote."""
    config = read_json(folder / transformers_config.CONFIG_FILE)
    file = folder / transformers_config.WEIGHTS_FILE
    return _make_tower({"model_type": default_type, **config}, map_tensors(file), [file], folder)


def _make_tower(config: Mapping[str, Any], weights: Tensors, files: Sequence[Path], folder: Path) -> _Tower:
    """Return a tower with the weights that its config asks for, out of all those of its files."""
    try:
        completed = architectures.complete_config(config, str(config["model_type"]))
        shapes = architectures.weight_shapes(completed)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{folder}: its config describes no network ({reason}): download it again") from None
    kind, prefix = (
        architectures.TRANSFORMERS_CLASSES[completed["model_type"]],
        architectures.weight_prefix(completed),
    )
    return _Tower(completed, select_weights(weights, shapes, str(folder), kind, prefix), files)


def _can_compute(config: Mapping[str, Any]) -> bool:
    """Return whether a text tower's activation is known in numpy; transformers has some that nobody uses."""
    activation = config.get("hidden_act")
    return activation is None or activation in ACTIVATIONS


def _logit_scale(weights: Tensors, folder: Path) -> float:
    if "logit_scale" not in weights:
        return transformers_config.DEFAULT_SCALE
    return transformers_config.read_scale(as_float32(weights["logit_scale"]), folder)
