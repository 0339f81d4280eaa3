"""What a client asks: prompts, a date and a scale, checked before anything is computed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from fastapi import Query, Request

from sat2cap.errors import InputError, PromptError, WhenError
from sat2cap.formatting import is_plain_text
from sat2cap.geo import When, parse_when
from sat2cap.query import PART_SEPARATOR, ScoreScale
from sat2cap.server.settings import MAX_PROMPT_LETTERS, MAX_PROMPTS

_LONGEST_DATE = 40


@dataclass(frozen=True)
class Question:
    """One map: what to score every cell for. Equal questions have equal answers, so it is a key of caches."""

    prompt: str
    when: When | None = None
    scale: ScoreScale = "cosine"
    negatives: tuple[str, ...] = ()
    minus: str | None = None
    """Of a difference: the prompt of the map that is taken off; None for the same prompt."""
    minus_when: When | None = None
    """Of a difference: the date of the map that is taken off; None for the same date."""

    @property
    def is_difference(self) -> bool:
        """Whether another map is subtracted."""
        return self.minus is not None or self.minus_when is not None


async def read_question(
    prompt: Annotated[str, Query(description="What a photo there would show.", examples=["a busy street"])],
    when: Annotated[
        str | None,
        Query(description="Local date and hour, such as 2024-05-20T08:00, 2024-05-20 or 2024-05."),
    ] = None,
    scale: Annotated[
        ScoreScale,
        Query(description="cosine; percentile within the atlas, 0 to 100; or contrast, a chance, 0 to 1."),
    ] = "cosine",
    negative: Annotated[list[str] | None, Query(description="Prompts to subtract.")] = None,
    minus: Annotated[
        str | None, Query(description="A prompt whose map is taken off: the answer is a difference.")
    ] = None,
    minus_when: Annotated[
        str | None, Query(description="The date of the map that is taken off: a difference of two dates.")
    ] = None,
) -> Question:
    """Return the question in a request's address. Raises `PromptError`, `WhenError`."""
    negatives = tuple(check_prompt(text, "negative") for text in negative or ())
    if len(negatives) > MAX_PROMPTS:
        raise PromptError(f"{len(negatives)} negatives are given; give at most {MAX_PROMPTS}")
    taken_off = None if minus is None else check_prompt(minus, "minus")
    return Question(
        check_prompt(prompt), read_moment(when), scale, negatives, taken_off, read_moment(minus_when)
    )


async def refuse_unknown_parameters(request: Request) -> None:
    """Raise `InputError` for a query parameter that the route does not have: a typing error is not ignored.

    So is one that is given twice but means one value, of which frameworks take the last. ``_`` is let
    through, which some clients add so that nothing is cached.

    It is a coroutine, as all that only looks at a request here: plain functions run in threads, and each hop
    to one waits for the interpreter where scans run.
    """
    dependant = getattr(request.scope.get("route"), "dependant", None)
    if dependant is None:
        return
    is_list = _query_parameters(dependant)
    names = sorted(is_list)
    unknown = [name for name in request.query_params if name not in names and name != "_"]
    if unknown:
        raise InputError(
            f"there is no parameter {unknown[0][:40]!r} here; there is {', '.join(names) or 'none'}"
        )
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1 and not is_list.get(name, True):
            raise InputError(f"{name} is given {count} times; give it once")


def _query_parameters(dependant: Any) -> dict[str, bool]:
    """Return the query parameters of a route and of all that it depends on, and whether each is a list."""
    parameters = {field.alias: _is_list(field.field_info.annotation) for field in dependant.query_params}
    for other in dependant.dependencies:
        parameters |= _query_parameters(other)
    return parameters


def _is_list(annotation: Any) -> bool:
    """Return whether a type is a sequence of values, or may be, such as ``list[str] | None``."""
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and issubclass(kind, Sequence) and not issubclass(kind, str):
        return True
    return any(_is_list(part) for part in get_args(annotation))


def read_moment(when: str | None) -> When | None:
    """Return a date and hour; None and an empty text are none. Raises `WhenError`."""
    if not when:
        return None
    if len(when) > _LONGEST_DATE:
        raise WhenError(f"a date of {len(when)} letters cannot be read; write 2024-05-20T08:00")
    return parse_when(when)


def check_prompt(text: str, name: str = "prompt") -> str:
    """Return a prompt that may come from anyone, without spaces around it. Raises `PromptError`.

    It is data: at most `MAX_PROMPT_LETTERS` letters, none of them a control character. Examples that name
    files of this machine (``photo:``) are refused, those that name places (``place:LON,LAT``) are not.
    """
    stripped = text.strip()
    if not stripped:
        raise PromptError(f"the {name} is empty; describe what a photo there would show")
    if len(stripped) > MAX_PROMPT_LETTERS:
        raise PromptError(f"the {name} has {len(stripped)} letters; give at most {MAX_PROMPT_LETTERS}")
    if not is_plain_text(stripped) or "\ufffd" in stripped:  # which stands for bytes that are not UTF-8
        raise PromptError(f"the {name} holds control characters or broken letters; give plain text")
    if any(part.strip().lower().startswith("photo:") for part in stripped.split(PART_SEPARATOR.strip())):
        raise PromptError(
            f"the {name} names a file of the server, which is not allowed here; describe it in words"
        )
    return stripped
