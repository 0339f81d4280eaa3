"""Reading the JSON files of a model's folder, with one-line errors that name the file."""

from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.files import parse_json


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises `ModelError` if the file cannot be read or holds no object."""
    try:
        value = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}): save or download the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object: save or download the model again")
    return value


def read_manifest(path: Path, format_name: str, version: int) -> dict[str, Any]:
    """Return a manifest of this package after checking its `format` and `version` fields.

    Raises `ModelError` if the file cannot be read, or has another format or version than these.
    """
    values = read_json(path)
    if values.get("format") != format_name or values.get("version") != version:
        raise ModelError(
            f"{path} is {values.get('format')} version {values.get('version')}, "
            f"not {format_name} version {version}: use the sat2cap release that wrote it"
        )
    return values
