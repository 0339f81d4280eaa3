"""What the demo does, how much of it, and what its page shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sat2cap.catalogue import MINICAPTIONER
from sat2cap.evaluation import CALENDAR
from sat2cap.geo import When
from sat2cap.miniworld import PROMPTS, SEASONAL_PROMPTS, Prompt
from sat2cap.pairs import PatchSpec

RUN_FILE = Path(__file__).parents[1] / "runs" / "miniworld.toml"
"""The run file that ships in the package."""


@dataclass(frozen=True)
class CountryPlan:
    """A region to embed and map."""

    name: str
    region: str
    """``west,south,east,north`` in degrees."""
    south: bool = False
    """South of the equator."""


def chosen(prompts: Sequence[Prompt], *concepts: str) -> tuple[Prompt, ...]:
    """The prompts that mean these concepts, in this order; concepts without one are left out."""
    known = {prompt.concept: prompt for prompt in prompts}
    return tuple(known[concept] for concept in concepts if concept in known)


_SHOWN = (
    "market", "vineyard", "traffic jam", "skyscrapers", "mountains", "sea",
    "skiers", "autumn leaves", "factory", "bathers", "fishermen", "rice paddy",
)  # fmt: skip

_OF_SUMMER = (
    "bathers", "harvest", "festival", "cafe terrace", "camp fire", "sailing boats", "cows",
)  # fmt: skip
"""Every timed concept that the truth gives to summer in both countries."""


@dataclass(frozen=True)
class DemoPlan:
    """The default is the full demo; tests take less of everything."""

    train_world: int = 1
    train_photos: int = 24_000
    test_world: int = 2
    """Another planet: nothing on it was ever trained on."""
    test_photos: int = 2_300
    gallery: int = 2_000
    """Pairs of the other planet to find each other in."""
    patch: PatchSpec = field(default_factory=lambda: PatchSpec(480.0, 48))
    """Its side is the side of a cell, too."""
    per_shard: int = 500
    workers: int = 2
    run_file: Path = RUN_FILE
    steps: int | None = None
    """Training steps; None for those of the run file."""
    init: str | None = None
    """The CLIP model to begin with and to compare with; None for that of the run file."""
    countries: tuple[CountryPlan, ...] = (
        CountryPlan("north", "-70,46,-69.67,46.22"),
        CountryPlan("south", "-67.5,-36,-67.17,-35.78", south=True),
    )
    """The first is the one that the page begins with."""
    prompts: tuple[Prompt, ...] = PROMPTS
    """What maps are measured with."""
    timed: tuple[Prompt, ...] = SEASONAL_PROMPTS
    """What is measured over the calendar."""
    calendar: tuple[When, ...] = CALENDAR
    """Every month, and in each the same hours."""
    shown: tuple[Prompt, ...] = field(default_factory=lambda: chosen(PROMPTS, *_SHOWN))
    """Maps that are written to files and shown beside the truth."""
    winter: tuple[Prompt, ...] = field(default_factory=lambda: chosen(SEASONAL_PROMPTS, "snow", "skiers"))
    summer: tuple[Prompt, ...] = field(default_factory=lambda: chosen(SEASONAL_PROMPTS, *_OF_SUMMER))
    """What must swap hemispheres between January and July; the page shows the first two of each."""
    by_hour: tuple[Prompt, ...] = field(
        default_factory=lambda: chosen(SEASONAL_PROMPTS, "traffic jam", "night lights")
    )
    """Shown at 08:00 and 23:00."""
    by_calendar: tuple[Prompt, ...] = field(
        default_factory=lambda: chosen(SEASONAL_PROMPTS, "traffic jam", "bathers", "snow", "festival")
    )
    """Shown month by hour."""
    sought: tuple[Prompt, ...] = field(
        default_factory=lambda: chosen(PROMPTS, "harbour", "festival", "grape pickers", "camp fire")
    )
    """Shown by their best places."""
    captioner: str | None = MINICAPTIONER
    """For the CLIP model; None for no captions."""
    captioned: tuple[Prompt, ...] = field(
        default_factory=lambda: chosen(PROMPTS, "skyscrapers", "meadow", "wheat field")
    )
    """Places that are likeliest to show these are put in words."""
    captioned_pairs: int = 500
    """Held-out pairs whose captions are held against the truth."""
    mosaic_pixels: int = 16
    """Pixels to a cell in the mosaic of the page: 16 make 30 m each."""
