"""Arguments taken as they are, and modules that are imported when they are used: nothing else changes."""

import sys
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from sat2cap.cli.app import COMMANDS, main, make_command
from sat2cap.cli.coercion import PlainCoercion
from sat2cap.cli.deferred import DeferredModule, defer_import
from sat2cap.errors import InputError


def parameters(command):
    """Every parameter of a command and of those below it."""
    for subcommand in getattr(command, "commands", {}).values():
        yield from parameters(subcommand)
    yield from command.params


def values_of(param, folder):
    """Values that a command line, or a default, may give a parameter."""
    texts = ["", "snow", "3", "-1", "0.5", "cosine", "templates", str(folder), str(folder / "none")]
    several = param.multiple or param.nargs == -1
    return [None, param.default, *([(), tuple(texts), ("snow",)] if several else texts)]


def test_every_parameter_gets_what_typer_makes_of_it(tmp_path):
    import typer

    compared = 0
    for param in parameters(make_command()):
        coercion = param.get_runtime_param()
        if not isinstance(coercion, PlainCoercion):
            pytest.skip("this version of typer converts in another way")
        for value in values_of(param, tmp_path):
            if value == "" and coercion.annotation is Path:  # which typer takes as the folder it runs in
                with pytest.raises(InputError, match="is empty; give a path"):
                    coercion.coerce(value, param=param, ctx=None)
                continue
            outcomes = []
            for convert in (coercion.coerce, coercion.make_coercion().coerce):
                try:
                    outcomes.append(convert(value, param=param, ctx=None))
                except InputError:  # a number or a choice, of which typer says less
                    outcomes.append((typer.BadParameter, ""))
                except (typer.BadParameter, ValueError) as error:
                    kind = coercion.annotation
                    is_ours = kind in (int, float) or (isinstance(kind, type) and issubclass(kind, Enum))
                    outcomes.append((type(error), "" if is_ours else str(error)))
            assert outcomes[0] == outcomes[1], (param.name, value)
            assert type(outcomes[0]) is type(outcomes[1]), (param.name, value)
            compared += 1
    assert compared > 1000


def test_a_folder_that_cannot_be_read_is_left_to_typer(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != tmp_path)
    (out,) = (param for param in make_command("map").commands["map"].params if param.name == "out")
    import typer

    with pytest.raises(typer.BadParameter, match="not readable"):
        out.get_runtime_param().coerce(str(tmp_path), param=out, ctx=None)


def test_the_commands_made_are_those_that_were_named(capsys):
    assert set(make_command().commands) == set(COMMANDS)
    assert set(make_command("atlas").commands) == {"atlas"}
    with pytest.raises(SystemExit) as stop:
        main(["mapp"])
    assert stop.value.code == 2
    assert "map" in capsys.readouterr().err, "the names that are near are still known"


def test_a_deferred_module_is_imported_when_it_is_used(tmp_path, monkeypatch):
    (tmp_path / "seldom").mkdir()
    (tmp_path / "seldom" / "__init__.py").write_text("print('imported')\nvalue = 7\n")
    (tmp_path / "seldom" / "inner.py").write_text("value = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("seldom", "seldom.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    defer_import("seldom")
    seldom = import_module("seldom")
    assert isinstance(seldom, DeferredModule)
    assert find_spec("seldom") is not None
    assert isinstance(sys.modules["seldom"], DeferredModule), "finding it imports nothing"
    assert seldom.value == 7
    assert not isinstance(sys.modules["seldom"], DeferredModule)
    assert import_module("seldom.inner").value == 8
    assert seldom.inner.value == 8
    with pytest.raises(AttributeError):
        _ = seldom.nothing


def test_a_module_inside_a_deferred_one_is_found(tmp_path, monkeypatch):
    (tmp_path / "rarely").mkdir()
    (tmp_path / "rarely" / "__init__.py").write_text("")
    (tmp_path / "rarely" / "inner.py").write_text("value = 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    defer_import("rarely")
    assert import_module("rarely.inner").value == 8
    defer_import("rarely")  # imported by now
    assert not isinstance(sys.modules["rarely"], DeferredModule)


def test_what_is_not_installed_stays_missing():
    defer_import("no_such_module_at_all")
    with pytest.raises(ModuleNotFoundError):
        import_module("no_such_module_at_all")
