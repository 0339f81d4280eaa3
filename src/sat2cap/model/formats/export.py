"""Exporting a checkpoint in Hugging Face's layout, with image processor and model card.

The folder remains a checkpoint (docs/checkpoint.md), with its overhead tower at the top::

    config.json, model.safetensors   the overhead tower: transformers' `from_pretrained(folder)`
    preprocessor_config.json         its processor
    README.md                        the model card
    sat2cap.json, ground/, text/, dynamic.safetensors     as in any checkpoint
"""

from pathlib import Path
from typing import Any

from sat2cap.files import publish_folder, write_json
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.file_hashes import write_sealed_manifest
from sat2cap.model.formats.checkpoint_manifest import CHECKPOINT_MANIFEST
from sat2cap.model.formats.folder import check_target, save_checkpoint
from sat2cap.model.json_files import read_json
from sat2cap.model.networks.towers import CONFIG_FILE
from sat2cap.model.preprocess import Preprocess

PROCESSOR = "preprocessor_config.json"
CARD = "README.md"
_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}


def export_hugging_face(checkpoint: Checkpoint, folder: Path | str) -> Path:
    """Write a checkpoint in Hugging Face's layout and return its folder, which appears at once and whole.

    Raises `ModelError` if `folder` exists and is not a checkpoint, which alone is replaced.
    """
    target = Path(folder)
    check_target(target)
    with publish_folder(target) as temporary:
        save_checkpoint(checkpoint, temporary)
        for file in (temporary / "overhead").iterdir():
            file.rename(temporary / file.name)
        (temporary / "overhead").rmdir()
        manifest = read_json(temporary / CHECKPOINT_MANIFEST)
        manifest["parts"]["overhead"] = "top"
        write_json(temporary / PROCESSOR, _processor_settings(checkpoint.overhead_preprocess))
        kind = read_json(temporary / CONFIG_FILE)["architectures"][0]
        (temporary / CARD).write_text(write_model_card(checkpoint, kind), encoding="utf-8")
        write_sealed_manifest(temporary / CHECKPOINT_MANIFEST, manifest)
    return target


def _processor_settings(preprocess: Preprocess) -> dict[str, Any]:
    """Return the settings of transformers' `CLIPImageProcessor`.

    It has no crop before resizing; the model card alone says that one is needed.
    """
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


def write_model_card(checkpoint: Checkpoint, kind: str) -> str:
    """Return the model card in Markdown, with the head that the hub reads.

    It says what the model is, how it was trained, and its metrics. `kind` is the tower's transformers class.
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
    lines += [
        f"# {card.get('name', 'Sat2Cap model')}",
        "",
        *_describe_inputs(checkpoint),
        "",
        *_usage_example(kind),
        "",
    ]
    lines += _format_table("Figures", card.get("metrics", {}))
    settings = {
        f"{section}.{name}": value
        for section, values in training.get("run", {}).items()
        if isinstance(values, dict)
        for name, value in values.items()
    }
    counts = {name: training[name] for name in ("steps", "samples") if name in training}
    pairs = {f"pairs.{name}": value for name, value in training.get("pairs", {}).items()}
    return "\n".join(lines + _format_table("Training", {**counts, **pairs, **settings})) + "\n"


def _describe_inputs(checkpoint: Checkpoint) -> list[str]:
    """Return lines that describe the inputs and outputs of the model."""
    size, crop = checkpoint.patch_pixels, checkpoint.overhead_preprocess.crop
    lines = [
        "An overhead image to what a photo taken there would show, in the space of CLIP, after Sat2Cap",
        f"(Dhakal et al., EarthVision 2024). Patches of {size} px a side, {checkpoint.dim} numbers each,",
        f"**not** normalised. Source: {checkpoint.card.get('source', 'unknown')}.",
    ]
    if checkpoint.dynamic is not None:
        lines.append(
            f"Place and time (encoding `{checkpoint.encoding}`) add an offset before normalising: "
            "`dynamic.safetensors`, see `sat2cap.json`."
        )
    if crop is not None:
        lines.append(
            f"The middle {crop} px of a larger image are to be cut out before the processor sees it."
        )
    return lines


def _usage_example(kind: str) -> list[str]:
    """Return lines that show the use with transformers alone, and with this package."""
    return [
        "```python",
        "import transformers",
        f'tower = transformers.{kind}.from_pretrained("FOLDER")',
        'processor = transformers.AutoImageProcessor.from_pretrained("FOLDER")',
        "```",
        "",
        "`sat2cap embed REGION --imagery ortho.tif --model FOLDER -o atlas.zarr` makes maps with it.",
    ]


def _format_table(title: str, values: dict[str, Any]) -> list[str]:
    """Return a Markdown table of names and values under a heading; no lines if there are no values."""
    if not values:
        return []
    rows = [
        f"| {name} | {f'{value:.4g}' if isinstance(value, float) else value} |"
        for name, value in values.items()
    ]
    return [f"## {title}", "", "| | |", "|---|---|", *rows, ""]
