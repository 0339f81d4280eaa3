"""A checkpoint as others keep models: the overhead tower in Hugging Face's layout, with processor and card.

The folder is a checkpoint still (docs/checkpoint.md), whose overhead tower lies at the top::

    config.json, model.safetensors   the overhead tower: transformers' `from_pretrained(folder)`
    preprocessor_config.json         its processor
    README.md                        the model card
    sat2cap.json, ground/, text/, dynamic.safetensors     as in any checkpoint
"""

from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.files import publish_folder, write_json
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.folder import CHECKPOINT_MANIFEST, save_checkpoint
from sat2cap.model.networks.towers import CONFIG_FILE, read_json
from sat2cap.model.preprocess import Preprocess

PROCESSOR = "preprocessor_config.json"
CARD = "README.md"
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


def export_hugging_face(checkpoint: Checkpoint, folder: Path | str) -> Path:
    """Write the folder, at once and whole; replaces only an earlier checkpoint, or nothing."""
    target = Path(folder)
    if (
        target.exists()
        and not (target / CHECKPOINT_MANIFEST).is_file()
        and (target.is_file() or any(target.iterdir()))
    ):
        raise ModelError(f"{target} exists and is no sat2cap checkpoint: give another folder, or remove it")
    with publish_folder(target) as temporary:
        save_checkpoint(checkpoint, temporary)
        for file in (temporary / "overhead").iterdir():
            file.rename(temporary / file.name)
        (temporary / "overhead").rmdir()
        manifest = read_json(temporary / CHECKPOINT_MANIFEST)
        manifest["parts"]["overhead"] = "top"
        write_json(temporary / CHECKPOINT_MANIFEST, manifest)
        write_json(temporary / PROCESSOR, _processor(checkpoint.overhead_preprocess))
        kind = read_json(temporary / CONFIG_FILE)["architectures"][0]
        (temporary / CARD).write_text(model_card(checkpoint, kind), encoding="utf-8")
    return target


def _processor(preprocess: Preprocess) -> dict[str, Any]:
    """Settings of transformers' `CLIPImageProcessor`; a crop before resizing is said in the card alone."""
    square = {"height": preprocess.size, "width": preprocess.size}
    shortest = {"shortest_edge": preprocess.shortest_edge or preprocess.size}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": square if preprocess.squash else shortest,
        "resample": _FILTERS[preprocess.resample],
        "do_center_crop": not preprocess.squash,
        "crop_size": square,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
    }


def model_card(checkpoint: Checkpoint, kind: str) -> str:
    """Markdown with the head that the hub reads: what the model is, how it was made, its figures.

    `kind` is the tower's class in transformers.
    """
    card = checkpoint.card
    training = card.get("training", {})
    head = {
        "license": str(card.get("licence", "unknown")).lower(),
        "library_name": "transformers",
        "pipeline_tag": "image-feature-extraction",
        "base_model": training.get("init", {}).get("name"),
        "tags": "[sat2cap, remote-sensing, clip]",
    }
    lines = ["---", *(f"{name}: {value}" for name, value in head.items() if value), "---", ""]
    lines += [f"# {card.get('name', 'Sat2Cap model')}", "", *_about(checkpoint), "", *_use(kind), ""]
    lines += _table("Figures", card.get("metrics", {}))
    settings = {
        f"{section}.{name}": value
        for section, values in training.get("run", {}).items()
        if isinstance(values, dict)
        for name, value in values.items()
    }
    made = {name: training[name] for name in ("steps", "samples") if name in training}
    pairs = {f"pairs.{name}": value for name, value in training.get("pairs", {}).items()}
    return "\n".join(lines + _table("Training", {**made, **pairs, **settings})) + "\n"


def _about(checkpoint: Checkpoint) -> list[str]:
    """What goes in and what comes out."""
    size, crop = checkpoint.patch_pixels, checkpoint.overhead_preprocess.crop
    said = [
        "An overhead image to what a photo taken there would show, in the space of CLIP, after Sat2Cap",
        f"(Dhakal et al., EarthVision 2024). Patches of {size} px a side, {checkpoint.dim} numbers each,",
        f"**not** normalised. Source: {checkpoint.card.get('source', 'unknown')}.",
    ]
    if checkpoint.dynamic is not None:
        said.append(
            f"Place and time (encoding `{checkpoint.encoding}`) add an offset before normalising: "
            "`dynamic.safetensors`, see `sat2cap.json`."
        )
    if crop is not None:
        said.append(f"The middle {crop} px of a larger image are to be cut out before the processor sees it.")
    return said


def _use(kind: str) -> list[str]:
    """With transformers alone, and with this package."""
    return [
        "```python",
        "import transformers",
        f'tower = transformers.{kind}.from_pretrained("FOLDER")',
        'processor = transformers.AutoImageProcessor.from_pretrained("FOLDER")',
        "```",
        "",
        "`sat2cap embed REGION --imagery ortho.tif --model FOLDER -o atlas.zarr` makes maps with it.",
    ]


def _table(title: str, values: dict[str, Any]) -> list[str]:
    """Names and values under a heading; nothing when there are none."""
    if not values:
        return []
    rows = [
        f"| {name} | {f'{value:.4g}' if isinstance(value, float) else value} |"
        for name, value in values.items()
    ]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]
