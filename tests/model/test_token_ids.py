"""A text tower and a tokenizer that do not belong together are refused when they are loaded."""

import json
from pathlib import Path

import pytest
from tiny_model import tiny_clip

from sat2cap.errors import ModelError
from sat2cap.model.load import load_model


@pytest.mark.parametrize("end", [0, 1])
def test_an_end_mark_of_another_tokenizer_is_refused(tmp_path: Path, end: int) -> None:
    """The tower would read its embedding at the start of the text: one vector for every prompt."""
    folder = tiny_clip(tmp_path / "clip", image=24, hidden=32, dim=16)
    assert load_model(folder).text is not None
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = end
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"has end-of-text token {end} and its tokenizer") as error:
        load_model(folder)
    assert "\n" not in str(error.value)
