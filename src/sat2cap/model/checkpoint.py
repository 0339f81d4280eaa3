"""A checkpoint: every network of the method with its preprocessing, encoding and provenance.

On disk it is a folder (docs/checkpoint.md)::

    sat2cap.json          written last: format, what is there, preprocessing, encoding, scale, card
    overhead/             config.json, model.safetensors   CLIPVisionModelWithProjection
    ground/               the same, unless it is the same network as overhead or absent
    text/                 the same for CLIPTextModelWithProjection, and its tokenizer
    dynamic.safetensors   fc1, fc2 of the Dynamic Encoder
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.files import canonical_json, digest, write_json
from sat2cap.model import huggingface, towers
from sat2cap.model.dynamic import DynamicEncoder
from sat2cap.model.metadata import ENCODINGS, Encoding, encode_metadata
from sat2cap.model.preprocess import AnyImage, Preprocess
from sat2cap.model.towers import TextTower

MANIFEST = "sat2cap.json"
FORMAT = "sat2cap-checkpoint"
VERSION = 1

BATCH = 64
"""Images or texts a tower sees at once: what bounds memory, whatever a caller gives."""

Precision = Literal["float32", "bfloat16"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained (or initial) model, ready to embed images, texts, places and times in one space."""

    overhead: Any
    """`CLIPVisionModelWithProjection`: g of the paper."""
    ground: Any | None
    """`CLIPVisionModelWithProjection`, frozen: f of the paper; may be the same object as `overhead`."""
    text: TextTower | None
    dynamic: DynamicEncoder | None
    """h of the paper; None in plain CLIP and in a model trained without metadata."""
    logit_scale: float
    """What cosines are multiplied with in the loss (1 / temperature)."""
    encoding: Encoding
    """Of place and time, for the Dynamic Encoder."""
    overhead_preprocess: Preprocess
    ground_preprocess: Preprocess
    card: dict[str, Any] = field(default_factory=dict)
    """name, source, licence, training run, metrics: plain JSON values, no part of the identity."""

    @property
    def dim(self) -> int:
        """Numbers in an embedding."""
        return int(self.overhead.config.projection_dim)

    @property
    def patch_pixels(self) -> int:
        """Pixels a side of the overhead patch that the tower sees; reading imagery finer is waste."""
        return self.overhead_preprocess.size

    @cached_property
    def ground_identity(self) -> str:
        """Hash of the frozen ground tower and its preprocessing: what cached ground embeddings depend on."""
        ground = self._need_ground()
        return digest(
            towers.digest_weights(ground.state_dict()), canonical_json(self.ground_preprocess.as_dict())
        )

    @cached_property
    def place_identity(self) -> str:
        """Hash of what scores places: overhead tower, its preprocessing, Dynamic Encoder; not the text tower.

        An atlas is bound to it, so that one made with an overhead tower alone serves whoever adds the texts.
        """
        return digest(
            towers.digest_weights(self.overhead.state_dict()),
            canonical_json(self.overhead_preprocess.as_dict()),
            "" if self.dynamic is None else towers.digest_weights(self.dynamic.state_dict()),
            self.encoding,
        )

    @cached_property
    def identity(self) -> str:
        """Hash of all weights, the vocabulary, both preprocessings and the encoding; 64 hex digits."""
        parts: dict[str, Any] = {
            "overhead": towers.digest_weights(self.overhead.state_dict()),
            "overhead_preprocess": self.overhead_preprocess.as_dict(),
            "ground": None if self.ground is None else self.ground_identity,
            "encoding": self.encoding,
            "logit_scale": self.logit_scale,
            "dynamic": None if self.dynamic is None else towers.digest_weights(self.dynamic.state_dict()),
        }
        if self.text is not None:
            vocabulary = canonical_json(self.text.tokenizer.get_vocab())
            parts["text"] = [towers.digest_weights(self.text.model.state_dict()), digest(vocabulary)]
        return digest(canonical_json(parts))

    def embed_overhead(self, rgb: NDArray[np.uint8], *, precision: Precision = "float32") -> Floats:
        """Overhead patches uint8 `[B, H, W, 3]` to float32 `[B, D]`, **not** normalised.

        Quickest when H = W = `patch_pixels`. ``bfloat16`` about doubles the speed where the processor has it.
        """
        return self._embed_images(self.overhead, self.overhead_preprocess, rgb, precision)

    def embed_ground(self, images: Sequence[AnyImage], *, precision: Precision = "float32") -> Floats:
        """Ground photos to float32 `[B, D]` of length 1."""
        return _unit(self._embed_images(self._need_ground(), self.ground_preprocess, images, precision))

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Texts to float32 `[B, D]` of length 1; ModelError when there is no text tower."""
        if self.text is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no text tower: join it with the CLIP model whose text tower it was trained with"
            )
        device = next(self.text.model.parameters()).device
        rows = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(texts), BATCH):
            ids, mask = self.text.tokens(texts[start : start + BATCH])
            with torch.inference_mode():
                out = self.text.model(input_ids=ids.to(device), attention_mask=mask.to(device))
            rows.append(out.text_embeds.float().cpu().numpy())
        return _unit(np.concatenate(rows))

    def dynamic_offset(
        self,
        lat: ArrayLike,
        lon: ArrayLike,
        year: ArrayLike,
        month: ArrayLike,
        day: ArrayLike,
        hour: ArrayLike,
    ) -> Floats:
        """What is added to unnormalised overhead embeddings at N places and local times, float32 `[N, D]`.

        Arguments broadcast, see `sat2cap.model.metadata.encode_metadata`. ModelError without Dynamic Encoder.
        """
        return self.dynamic_from_features(encode_metadata(lat, lon, year, month, day, hour, self.encoding))

    def dynamic_from_features(self, features: Floats) -> Floats:
        """`dynamic_offset` of numbers `[N, F]` that are encoded already."""
        if self.dynamic is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no Dynamic Encoder: leave the date out, or use a model trained with metadata"
            )
        device = self.dynamic.fc1.weight.device
        with torch.inference_mode():
            offset: Floats = self.dynamic(torch.from_numpy(features).to(device)).cpu().numpy()
        return offset

    def to(self, device: str | torch.device) -> "Checkpoint":
        """This checkpoint with its networks moved to a device."""
        text = None if self.text is None else self.text.model
        for network in (self.overhead, self.ground, text, self.dynamic):
            if network is not None:
                network.to(device)
        return self

    def with_text_of(self, other: "Checkpoint") -> "Checkpoint":
        """This checkpoint with another's text tower, for folders that hold an overhead tower alone."""
        if other.text is None or other.dim != self.dim:
            raise ModelError(
                f"{other.card.get('name', 'the other model')} has "
                + (
                    "no text tower"
                    if other.text is None
                    else f"{other.dim} numbers an embedding, not {self.dim}"
                )
                + ": give the CLIP model that the overhead tower began as"
            )
        return replace(self, text=other.text)

    def _need_ground(self) -> Any:
        if self.ground is None:
            name = self.card.get("name", "this model")
            raise ModelError(
                f"{name} has no tower for ground photos: use a whole CLIP model or a sat2cap checkpoint"
            )
        return self.ground

    def _embed_images(
        self,
        tower: Any,
        preprocess: Preprocess,
        images: Sequence[AnyImage] | NDArray[np.uint8],
        precision: Precision,
    ) -> Floats:
        """Projection output, float32 `[B, D]`."""
        device = next(tower.parameters()).device
        rows = [np.zeros((0, self.dim), np.float32)]
        for start in range(0, len(images), BATCH):
            pixels: Tensor = preprocess.images(images[start : start + BATCH]).to(device)
            with (
                torch.inference_mode(),
                torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
            ):
                rows.append(tower(pixel_values=pixels).image_embeds.float().cpu().numpy())
        return np.concatenate(rows)


def _unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    scaled: Floats = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return scaled


def load_model(spec: str | Path) -> Checkpoint:
    """Open a sat2cap checkpoint folder, a Hugging Face CLIP folder, or a name on the Hugging Face hub.

    A whole `CLIPModel` gives the paper's baseline: its image tower serves both overhead and ground. A
    `CLIPVisionModelWithProjection` is an overhead tower alone. ModelError for anything else.
    """
    folder = Path(spec)
    if (folder / MANIFEST).is_file():
        return _load_own(folder)
    if (folder / towers.CONFIG_FILE).is_file():
        return _from_hugging_face(huggingface.read_folder(folder), str(spec))
    if folder.exists():
        raise ModelError(
            f"{spec} has neither {MANIFEST} nor config.json: give a folder saved by sat2cap or transformers"
        )
    if isinstance(spec, str) and huggingface.looks_like_hub_name(spec):
        return _from_hugging_face(huggingface.read_folder(huggingface.fetch(spec)), spec)
    raise ModelError(
        f"model {str(spec)!r} does not exist: give a checkpoint folder, or owner/name on the Hugging Face hub"
    )


def _from_hugging_face(found: huggingface.HuggingFaceModel, spec: str) -> Checkpoint:
    """A checkpoint without a Dynamic Encoder."""
    return Checkpoint(
        overhead=found.vision,
        ground=found.vision if found.kind == "CLIPModel" else None,
        text=found.text,
        dynamic=None,
        logit_scale=found.scale,
        encoding="reference",
        overhead_preprocess=found.preprocess,
        ground_preprocess=found.preprocess,
        card={"name": Path(spec).name, "source": spec, "licence": "unknown", "kind": found.kind},
    )


def _load_own(folder: Path) -> Checkpoint:
    """What `save_checkpoint` wrote."""
    values = towers.read_json(folder / MANIFEST)
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise ModelError(
            f"{folder / MANIFEST} is {values.get('format')} version {values.get('version')}, "
            f"not {FORMAT} version {VERSION}: use the sat2cap release that wrote it"
        )
    try:
        encoding, parts, scale = values["encoding"], values["parts"], float(values["logit_scale"])
        seen = [Preprocess.from_dict(values[f"{side}_preprocess"]) for side in ("overhead", "ground")]
        card = dict(values["card"])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / MANIFEST} lacks or spoils {error}: save the checkpoint again") from error
    if encoding not in ENCODINGS:
        raise ModelError(
            f"{folder} has encoding {encoding!r}, not one of {', '.join(ENCODINGS)}: update sat2cap"
        )
    overhead = towers.load_vision_tower(folder if parts.get("overhead") == "top" else folder / "overhead")
    grounds = {"own": lambda: towers.load_vision_tower(folder / "ground"), "overhead": lambda: overhead}
    return Checkpoint(
        overhead=overhead,
        ground=grounds.get(parts.get("ground"), lambda: None)(),
        text=towers.load_text_tower(folder / "text") if parts.get("text") else None,
        dynamic=_load_dynamic(folder / "dynamic.safetensors") if parts.get("dynamic") else None,
        logit_scale=scale,
        encoding=encoding,
        overhead_preprocess=seen[0],
        ground_preprocess=seen[1],
        card=card,
    )


def _load_dynamic(path: Path) -> DynamicEncoder:
    """A Dynamic Encoder of whatever size the file has."""
    weights = towers.read_tensors(path)
    try:
        (hidden, features), dim = weights["fc1.weight"].shape, weights["fc2.weight"].shape[0]
        encoder = DynamicEncoder(dim, hidden, features)
        encoder.load_state_dict(weights)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a Dynamic Encoder ({' '.join(str(error).split())}): save it again"
        ) from error
    return encoder.eval()


def save_checkpoint(ckpt: Checkpoint, folder: Path | str) -> Path:
    """Write a checkpoint so that nobody sees `folder` half written; replaces only a checkpoint or nothing."""
    target = Path(folder)
    if target.exists() and not (target / MANIFEST).is_file() and (target.is_file() or any(target.iterdir())):
        raise ModelError(f"{target} exists and is no sat2cap checkpoint: give another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _write_parts(ckpt, temporary)
        for path in sorted(temporary.rglob("*")):
            if path.is_file():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        write_json(temporary / MANIFEST, _manifest(ckpt))
        temporary.chmod(0o755)  # mkdtemp makes folders private; a checkpoint is not
        _put_in_place(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _write_parts(ckpt: Checkpoint, folder: Path) -> None:
    """Everything but the manifest."""
    towers.save_tower(ckpt.overhead, folder / "overhead")
    if ckpt.ground is not None and ckpt.ground is not ckpt.overhead:
        towers.save_tower(ckpt.ground, folder / "ground")
    if ckpt.text is not None:
        towers.save_text_tower(ckpt.text, folder / "text")
    if ckpt.dynamic is not None:
        towers.write_tensors(folder / "dynamic.safetensors", ckpt.dynamic.state_dict())


def _manifest(ckpt: Checkpoint) -> dict[str, Any]:
    """What sat2cap.json says."""
    ground = "overhead" if ckpt.ground is ckpt.overhead else "own"
    return {
        "format": FORMAT,
        "version": VERSION,
        "identity": ckpt.identity,
        "dim": ckpt.dim,
        "parts": {
            "overhead": "own",
            "ground": None if ckpt.ground is None else ground,
            "text": ckpt.text is not None,
            "dynamic": ckpt.dynamic is not None,
        },
        "encoding": ckpt.encoding,
        "logit_scale": ckpt.logit_scale,
        "overhead_preprocess": ckpt.overhead_preprocess.as_dict(),
        "ground_preprocess": ckpt.ground_preprocess.as_dict(),
        "card": ckpt.card,
    }


def _put_in_place(temporary: Path, target: Path) -> None:
    """Rename a finished folder to its name, moving what was there out of the way first."""
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        os.replace(target, old / "old")
        os.replace(temporary, target)
        shutil.rmtree(old)
    else:
        os.replace(temporary, target)
