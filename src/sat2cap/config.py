"""TOML files checked against a pydantic model: all problems are reported at once, in one line.

::

    class Optim(Section):
        lr: float = Field(gt=0)

    class RunFile(Section):
        optim: Optim

    run = load("run.toml", RunFile, RunFileError, kind="run file")
    # RunFileError: run file 'run.toml' has 2 problems: optim.lr = -1 must be greater than 0;
    # optim.speed is not known (known: lr)
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, PlainSerializer, ValidationError
from pydantic.fields import FieldInfo

from sat2cap.errors import Sat2CapError, quote
from sat2cap.files import read_regular_file
from sat2cap.redaction import redact_secrets

_LARGEST_INTEGER = 2**63
_MAX_BYTES = 16 * 2**20  # of a file that people write


class Section(BaseModel):
    """Base of every table of a TOML file: frozen, of finite numbers, with no key that the model lacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


StoredAddress = Annotated[str, PlainSerializer(redact_secrets)]
"""A path or address that is stored and shown without its secrets, and used with them."""

M = TypeVar("M", bound=BaseModel)


def load(path: Path | str, model: type[M], error: type[Sat2CapError], *, kind: str, hint: str = "") -> M:
    """Read a TOML file and check it against `model`.

    `kind` is what a message calls the file, such as ``run file``; `hint`, the next step, ends the message.
    Raises `error` if the file cannot be read or is not TOML, or with every problem of its values.
    """
    return validate(read_toml(path, error, kind=kind, hint=hint), model, error, f"{kind} {str(path)!r}", hint)


def read_toml(path: Path | str, error: type[Sat2CapError], *, kind: str, hint: str = "") -> dict[str, Any]:
    """Read a TOML file without checking its keys. Raises `error` if it cannot be read or is not TOML."""
    try:
        values = tomllib.loads(read_regular_file(path, _MAX_BYTES).decode("utf-8"))
        largest = max(map(abs, _integers(values)), default=0)
    except tomllib.TOMLDecodeError as cause:
        raise error(f"{kind} {str(path)!r} is not TOML ({cause}): correct that line") from cause
    except RecursionError as cause:
        rule = "its values are nested too deep"
        raise error(f"{kind} {str(path)!r} is not TOML ({rule}): correct it") from cause
    except (OSError, ValueError) as cause:  # the latter: bytes that are not UTF-8, a number of 5,000 digits
        reason = getattr(cause, "strerror", None) or quote(cause)
        raise error(
            f"{kind} {str(path)!r} cannot be read ({reason}): {hint or 'give a TOML file'}"
        ) from cause
    if largest >= _LARGEST_INTEGER:
        size = f"a whole number of {len(str(largest))} digits"
        raise error(f"{kind} {str(path)!r} has {size}, which passes the 64 bits of TOML: correct it")
    return values


def _integers(value: Any) -> Iterator[int]:
    """Yield the whole numbers in tables and arrays, however deep."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _integers(part)
    elif isinstance(value, int):
        yield value


def validate(
    values: Mapping[str, Any], model: type[M], error: type[Sat2CapError], subject: str, hint: str = ""
) -> M:
    """Check values against `model`.

    Raises `error` in one line: ``subject has N problems``, every problem, then `hint`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as cause:
        problems = [_describe_problem(problem, model) for problem in cause.errors()]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        ending = f"; {hint}" if hint else ""
        raise error(f"{subject} has {count}: {'; '.join(problems)}{ending}") from cause


def _describe_problem(problem: Any, model: type[BaseModel]) -> str:
    """Word one entry of `ValidationError.errors`: the key, its value, the rule."""
    name = ".".join(str(key) for key in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{name} is not known (known: {', '.join(_allowed_keys(problem['loc'], model))})"
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "value_error":  # raised by a validator of ours, whose text begins with a verb
        return f"{name} {problem['ctx']['error']}".strip()
    rule = str(problem["msg"]).replace("Input should be", "must be").replace("Input should have", "must have")
    value = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
    return f"{name}{value} {rule[0].lower()}{rule[1:]}"


def _allowed_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """List the keys of the table that a misspelt key stands in.

    `location` is the key's path; numbers in it are positions in an array of tables, as in
    ``("class", 0, "nmae")``, and are passed over.
    """
    fields = _fields_by_key(model)
    for key in location[:-1]:
        if isinstance(key, str):
            table = _table_model(fields[key].annotation) if key in fields else None
            fields = {} if table is None else _fields_by_key(table)
    return list(fields)


def _fields_by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a model by the key that a file has for them: the alias, if there is one."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _table_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``Optim``, ``Optim | None`` or ``list[Optim]``, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _table_model(part))), None)
