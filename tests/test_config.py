"""TOML files checked against a model: what is read, and how problems are worded."""

from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from sat2cap.config import Section, load, read_toml, validate
from sat2cap.errors import InputError, RunFileError


class Layer(Section):
    width: int = Field(ge=1)
    label: str = Field(default="", alias="name")


class Network(Section):
    depth: int = 1
    layer: list[Layer] = Field(default=[])
    head: Layer | None = None


class Rates(Section):
    lr: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.98)


def load_text(folder: Path, text: str) -> Network:
    (folder / "net.toml").write_text(text, encoding="utf-8")
    return load(folder / "net.toml", Network, InputError, kind="network", hint="see docs/net.md")


def test_a_file_becomes_a_frozen_model(tmp_path: Path) -> None:
    network = load_text(tmp_path, 'depth = 3\n[[layer]]\nwidth = 2\nname = "ü"\n')
    assert network == Network(depth=3, layer=[Layer(width=2, name="ü")])
    with pytest.raises(ValidationError, match="frozen"):
        network.depth = 4  # type: ignore[misc]


def test_every_problem_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_text(tmp_path, 'depth = "deep"\n[[layer]]\nwidth = 0\nwdith = 2\n[head]\nlabel = "x"\n[tail]\n')
    message = str(error.value)
    assert message.startswith(f"network {str(tmp_path / 'net.toml')!r} has 6 problems: ")
    assert message.endswith("; see docs/net.md")
    assert "\n" not in message
    for problem in (
        "depth = 'deep' must be a valid integer",
        "layer.0.width = 0 must be greater than or equal to 1",
        "layer.0.wdith is not known (known: width, name)",
        "head.width is missing",
        "head.label is not known (known: width, name)",
        "tail is not known (known: depth, layer, head)",
    ):
        assert problem in message


def test_a_single_problem_and_no_hint() -> None:
    with pytest.raises(RunFileError) as error:
        validate({"width": 0}, Layer, RunFileError, "this layer")
    assert str(error.value) == "this layer has 1 problem: width = 0 must be greater than or equal to 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory): give a TOML file"),
        (b"depth = \xff", "cannot be read ('utf-8' codec can't decode byte 0xff"),
        (b"depth = 1\ndepth =", "is not TOML (Invalid value (at end of document)): correct that line"),
    ],
)
def test_a_file_that_is_not_toml_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "net.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunFileError) as error:
        read_toml(path, RunFileError, kind="run file")
    assert str(error.value).startswith(f"run file {str(path)!r} {message}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_numbers_that_are_not_finite_are_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "x.toml").write_text(f"lr = {value}\nbetas = [0.9, {value}]\n")
    with pytest.raises(InputError, match=r"lr = -?(nan|inf) must be a finite number.*betas\.1 = ") as error:
        load(tmp_path / "x.toml", Rates, InputError, kind="run file")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("digits", [20, 200, 5000])
def test_whole_numbers_of_more_than_64_bits_are_refused(tmp_path: Path, digits: int) -> None:
    (tmp_path / "x.toml").write_text(f"[a]\nb = [1, {'9' * digits}]\n")
    with pytest.raises(InputError, match=r"64 bits|cannot be read") as error:
        read_toml(tmp_path / "x.toml", InputError, kind="run file")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_values_nested_too_deep_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not TOML") as error:
        load_text(tmp_path, "depth = " + "[" * 100_000 + "]" * 100_000)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300
