"""Looking whether a name can be that of a model, without numpy: an error in a path should come at once."""

from pathlib import Path

from sat2cap.errors import ModelError
from sat2cap.model.formats import hub


def check_model_exists(spec: str | Path) -> None:
    """Raise `ModelError` if `spec` is neither a path that exists nor a name of the hub; nothing is read."""
    path = Path(spec)
    if path.exists():
        return
    if path.suffix == ".ckpt":
        raise ModelError(f"model {str(spec)!r}: there is no such file: check the path")
    if not (isinstance(spec, str) and hub.is_hub_name(spec)):
        raise ModelError(
            f"model {str(spec)!r} does not exist: give a checkpoint folder, "
            "or owner/name on the Hugging Face hub"
        )
