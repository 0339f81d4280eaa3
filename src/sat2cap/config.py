"""What pydantic finds wrong in a run file, in our words: every problem at once, in one line."""

from typing import Any

from pydantic import BaseModel, ValidationError


def problems(error: ValidationError, of: type[BaseModel]) -> str:
    """``3 problems: …; …; …`` of the values given for a model."""
    found = [_problem(problem, of) for problem in error.errors()]
    return f"{len(found)} problem{'s' if len(found) > 1 else ''}: {'; '.join(found)}"


def _problem(problem: Any, of: type[BaseModel]) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{name} is not known ({_known(problem['loc'], of)})"
    if problem["type"] == "missing":
        return f"{name} is missing"
    if problem["type"] == "value_error":
        return f"{name} {problem['ctx']['error']}".strip()
    rule = str(problem["msg"]).replace("Input should be", "must be").replace("Input should have", "must have")
    value = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
    return f"{name}{value} {rule[0].lower()}{rule[1:]}"


def _known(where: tuple[int | str, ...], of: type[BaseModel]) -> str:
    """The keys that could have been meant."""
    fields = of.model_fields
    for part in where[:-1]:
        section = fields[str(part)].annotation
        fields = section.model_fields if isinstance(section, type) and issubclass(section, BaseModel) else {}
    return "known: " + ", ".join(fields)
