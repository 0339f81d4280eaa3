"""Looking at the names of an atlas and of models, before the import of what opens them."""

from pathlib import Path

from sat2cap.atlas import check_atlas_exists
from sat2cap.catalogue import MINICLIP
from sat2cap.model import check_model_exists


def check_names(atlas: str | Path, *models: str | Path | None) -> None:
    """Raise what opening would raise for an atlas or a model whose path does not exist; nothing is read.

    None among the models is passed over. For callers that can tell a mistake at once, as the command line
    does. Raises `AtlasError`, `ModelError`.
    """
    check_atlas_exists(atlas)
    for model in models:
        if model is not None and str(model) != MINICLIP:
            check_model_exists(model)
