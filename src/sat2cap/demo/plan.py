"""The plan of the demo: how much of everything is made, and what its page shows."""

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
LINEAR_RUN_FILE = RUN_FILE.with_name("linear.toml")
"""The run file of the linear baseline."""


@dataclass(frozen=True)
class CountryPlan:
    """A region to embed and map."""

    name: str
    region: str
    """``west,south,east,north`` in degrees."""
    south: bool = False
    """Whether it lies south of the equator."""


def select_prompts(prompts: Sequence[Prompt], *concepts: str) -> tuple[Prompt, ...]:
    """Return the prompts that mean these concepts, in this order; concepts without one are left out."""
    by_concept = {prompt.concept: prompt for prompt in prompts}
    return tuple(by_concept[concept] for concept in concepts if concept in by_concept)


_MAP_CONCEPTS = (
    "market", "vineyard", "traffic jam", "skyscrapers", "mountains", "sea",
    "skiers", "autumn leaves", "factory", "bathers", "fishermen", "rice paddy",
)  # fmt: skip

_SUMMER_CONCEPTS = (
    "bathers", "harvest", "festival", "cafe terrace", "camp fire", "sailing boats", "cows",
)  # fmt: skip
"""The seasonal concepts that, by the truth of both countries, belong to summer."""


@dataclass(frozen=True)
class DemoPlan:
    """The amounts, prompts and regions of a demo; the default is the full one, tests take less."""

    train_world: int = 1
    train_photos: int = 24_000
    test_world: int = 2
    """The other planet, on which nothing was trained."""
    test_photos: int = 2_300
    gallery: int = 2_000
    """Pairs of the other planet among which photos and patches retrieve each other."""
    patch: PatchSpec = field(default_factory=lambda: PatchSpec(480.0, 48))
    """Overhead patches; a cell has the same side."""
    per_shard: int = 500
    workers: int = 2
    run_file: Path = RUN_FILE
    steps: int | None = None
    """Number of training steps; None for that of the run file."""
    init: str | None = None
    """The CLIP model that training starts from and that is compared with; None for that of the run file."""
    countries: tuple[CountryPlan, ...] = (
        CountryPlan("north", "-70,46,-69.67,46.22"),
        CountryPlan("south", "-67.5,-36,-67.17,-35.78", south=True),
    )
    """The page begins with the first."""
    prompts: tuple[Prompt, ...] = PROMPTS
    """The prompts whose maps are measured against the truth."""
    seasonal_prompts: tuple[Prompt, ...] = SEASONAL_PROMPTS
    """The prompts that are measured over the calendar."""
    calendar: tuple[When, ...] = CALENDAR
    """Dates in every month, with the same hours in each, sorted by month."""
    map_prompts: tuple[Prompt, ...] = field(default_factory=lambda: select_prompts(PROMPTS, *_MAP_CONCEPTS))
    """The prompts whose maps are written to files and shown beside the truth."""
    winter_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(SEASONAL_PROMPTS, "snow", "skiers")
    )
    summer_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(SEASONAL_PROMPTS, *_SUMMER_CONCEPTS)
    )
    """Prompts that must swap hemispheres between January and July; the page shows the first two of each."""
    hour_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(SEASONAL_PROMPTS, "traffic jam", "night lights")
    )
    """Prompts shown at 08:00 and at 23:00."""
    calendar_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(SEASONAL_PROMPTS, "traffic jam", "bathers", "snow", "festival")
    )
    """Prompts shown over months and hours."""
    search_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(PROMPTS, "harbour", "festival", "grape pickers", "camp fire")
    )
    """Prompts shown by their best places."""
    captioner: str | None = MINICAPTIONER
    """A captioner in the space of the CLIP model; None for no captions."""
    caption_prompts: tuple[Prompt, ...] = field(
        default_factory=lambda: select_prompts(PROMPTS, "skyscrapers", "meadow", "wheat field")
    )
    """Prompts for each of which the place that is likeliest to show it is captioned."""
    caption_pairs: int = 500
    """Number of held-out pairs whose captions are compared with the truth."""
    mosaic_pixels: int = 16
    """Side of a cell in the mosaic of the page, in pixels: 16 make pixels of 30 m."""
    quick: bool = False
    """Whether this is the small demo, whose page says so."""


def quick_plan() -> DemoPlan:
    """Return the plan of `sat2cap demo --quick`: an eighth of the photos and of the training.

    Every step runs and everything is measured, but on less, so that the metrics are worse and less certain
    than those of the full plan.
    """
    return DemoPlan(
        train_photos=3_000,
        test_photos=700,
        gallery=600,
        steps=80,
        countries=(
            CountryPlan("north", "-70,46,-69.83,46.15"),
            CountryPlan("south", "-67.5,-36,-67.33,-35.85", south=True),
        ),
        caption_pairs=100,
        quick=True,
    )
