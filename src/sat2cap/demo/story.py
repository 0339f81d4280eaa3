"""What the page of the demo shows, collected before it is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from markupsafe import Markup

from sat2cap.report import Picture, render_page

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Asked:
    """A prompt as the page writes it."""

    text: str
    when: str
    """Such as ``15 January, 12:00``; empty for any time."""
    name: str
    """What names its figures: letters, digits and underscores."""
    meaning: str = ""
    """The concept of the miniature world that it is held against."""
    hidden: bool = False
    """Whether what it means cannot be seen from above."""


@dataclass(frozen=True)
class Layer:
    """A map to lay over the mosaic."""

    asked: Asked
    picture: Picture


@dataclass(frozen=True)
class Comparison:
    """The same prompt three times."""

    asked: Asked
    place: str
    truth: Picture
    ours: Picture
    clip: Picture


@dataclass(frozen=True)
class Moments:
    """The same prompt at two moments, in one range of colours for the maps and one for the truths."""

    asked: Asked
    moments: tuple[str, str]
    ours: tuple[Picture, Picture]
    truth: tuple[Picture, Picture]


@dataclass(frozen=True)
class Calendar:
    """Month by hour of a prompt."""

    asked: Asked
    ours: Markup
    truth: Markup


@dataclass(frozen=True)
class Year:
    """A prompt over the year, north and south."""

    asked: Asked
    season: str
    """``winter`` or ``summer``."""
    ours: Markup
    truth: Markup


@dataclass(frozen=True)
class Spot:
    """One of the best places for a prompt."""

    lon: float
    lat: float
    place: str
    patch: Picture
    photos: Sequence[Picture]
    """The ground photos nearest to it in the space of embeddings."""


@dataclass(frozen=True)
class Find:
    """The best places for a prompt."""

    asked: Asked
    spots: Sequence[Spot]


@dataclass(frozen=True)
class Remark:
    """A caption."""

    when: str
    """Such as ``January, 12:00``; empty for CLIP's, which knows no time."""
    text: str
    true: bool | None
    """Whether all that it states can be there and then; None if it states nothing."""


@dataclass(frozen=True)
class InWords:
    """A place and what captions say of it."""

    shows: str
    """The concept that it was chosen for."""
    lon: float
    lat: float
    place: str
    patch: Picture
    remarks: Sequence[Remark]


@dataclass(frozen=True)
class Command:
    """What a person would type."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Story:
    """Everything on the page but its figures."""

    mosaic: Picture
    mosaic_km: float
    """How wide the mosaic is on the ground."""
    layers: Sequence[Layer]
    comparisons: Sequence[Comparison]
    seasons: Sequence[Moments]
    hours: Sequence[Moments]
    calendars: Sequence[Calendar]
    years: Sequence[Year]
    finds: Sequence[Find]
    captions: Sequence[InWords]
    """None without a captioner."""
    prompts: Sequence[Asked]
    """All whose maps were measured."""
    timed: Sequence[Asked]
    """All that were measured over month and hour."""
    steps: Sequence[tuple[str, str]]
    """Name in the figures, and what it does."""
    commands: Sequence[Command]
    facts: Mapping[str, str]
    """Names of what was made by whom, for the foot of the page."""


def render_story(story: Story, figures: Mapping[str, float]) -> str:
    """Return the page of the demo as HTML; `figures` are those of ``results.json``."""
    values = {field.name: getattr(story, field.name) for field in fields(story)}
    values["longest"] = max(
        (figures.get(f"demo.seconds.{name}", 0.0) for name, _ in story.steps), default=0.0
    )
    return render_page("demo.html", values, figures, folder=_TEMPLATES)
