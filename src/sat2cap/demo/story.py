"""The contents of the demo's page, and its rendering to HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from markupsafe import Markup

from sat2cap.report import Picture, render_page

_TEMPLATES = Path(__file__).parent / "templates"
LIVE_MAP = _TEMPLATES / "live.webp"
"""A moving picture of the live map over the demo's country, made by benchmarks/live_pictures.py."""


@dataclass(frozen=True)
class PromptLabel:
    """A prompt as the page prints it."""

    text: str
    when: str
    """A date and hour such as ``15 January, 12:00``; empty for a prompt of no date."""
    name: str
    """The prompt in the names of its metrics: lower-case letters, digits and underscores."""
    concept: str = ""
    """The concept of the miniature world whose truth it is measured against."""
    hidden: bool = False
    """Whether its concept cannot be seen from above."""


@dataclass(frozen=True)
class Layer:
    """A map that can be laid over the mosaic."""

    prompt: PromptLabel
    picture: Picture


@dataclass(frozen=True)
class Comparison:
    """Maps of one prompt in one country: the truth, Sat2Cap's and CLIP's."""

    prompt: PromptLabel
    place: str
    truth: Picture
    ours: Picture
    clip: Picture


@dataclass(frozen=True)
class DatePair:
    """Maps of one prompt at two dates, and the truth of each.

    The two maps share one range of colours, and the two truths another.
    """

    prompt: PromptLabel
    dates: tuple[str, str]
    ours: tuple[Picture, Picture]
    truth: tuple[Picture, Picture]


@dataclass(frozen=True)
class Calendar:
    """Charts of a prompt over months and hours, as SVG: its mean score, and its mean truth."""

    prompt: PromptLabel
    ours: Markup
    truth: Markup


@dataclass(frozen=True)
class Year:
    """Charts of a prompt over the year in both hemispheres, as SVG: its mean score, and its mean truth."""

    prompt: PromptLabel
    season: str
    """``winter`` or ``summer``."""
    ours: Markup
    truth: Markup


@dataclass(frozen=True)
class BestPlace:
    """One of the places that fit a prompt best."""

    lon: float
    lat: float
    place: str
    patch: Picture
    photos: Sequence[Picture]
    """The ground photos whose embeddings are nearest to its own, nearest first."""


@dataclass(frozen=True)
class BestPlaces:
    """The places that fit a prompt best, best first."""

    prompt: PromptLabel
    places: Sequence[BestPlace]


@dataclass(frozen=True)
class Caption:
    """A caption of a place, and whether it is true."""

    when: str
    """Month and hour, such as ``January, 12:00``; empty for CLIP's caption, which depends on no date."""
    text: str
    true: bool | None
    """Whether all that it states can be seen at that place and time; None if it states nothing."""


@dataclass(frozen=True)
class CaptionedPlace:
    """A place with its captions: at several dates, then CLIP's."""

    concept: str
    """The concept that it is likely to show, for which it was chosen."""
    lon: float
    lat: float
    place: str
    patch: Picture
    captions: Sequence[Caption]


@dataclass(frozen=True)
class Command:
    """A command line, and what it is for."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Story:
    """Everything on the page except its metrics."""

    mosaic: Picture
    mosaic_km: float
    """Width of the mosaic on the ground, in kilometres."""
    layers: Sequence[Layer]
    comparisons: Sequence[Comparison]
    seasons: Sequence[DatePair]
    hours: Sequence[DatePair]
    calendars: Sequence[Calendar]
    years: Sequence[Year]
    best_places: Sequence[BestPlaces]
    captioned_places: Sequence[CaptionedPlace]
    """Empty without a captioner."""
    map_prompts: Sequence[PromptLabel]
    """The prompts whose maps were measured."""
    seasonal_prompts: Sequence[PromptLabel]
    """The prompts that were measured over month and hour."""
    quick: bool
    """Whether this is the small demo of ``--quick``, which the page must say."""
    steps: Sequence[tuple[str, str]]
    """Each step's name in the metrics, and what it does."""
    commands: Sequence[Command]
    live: Command
    """The command that opens the live map."""
    live_map: Picture
    """A short moving picture of the live map."""
    facts: Mapping[str, str]
    """Versions, attributions and identities by name, for the foot of the page."""


def render_story(story: Story, metrics: Mapping[str, float]) -> str:
    """Return the page of the demo as HTML; `metrics` are those of ``results.json``, from which it prints."""
    values = {field.name: getattr(story, field.name) for field in fields(story)}
    values["longest"] = max(
        (metrics.get(f"demo.seconds.{name}", 0.0) for name, _ in story.steps), default=0.0
    )
    return render_page("demo.html", values, metrics, folder=_TEMPLATES)
