"""Prompts that maps are measured with, each with the concept that its writer has in mind."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prompt:
    """A sentence, the concept that it means, and the time that it is asked for."""

    text: str
    """The sentence, as a person would write it."""
    concept: str
    """Name of the concept whose truth the map is compared with."""
    when: str | None = None
    """Local date and hour north of the equator; see `half_year_later` for the south. None: any time."""


def half_year_later(when: str) -> str:
    """Return the date half a year later in the same year: the same season in the other hemisphere.

    ``2021-01-15T12:00`` becomes ``2021-07-15T12:00``.
    """
    month = (int(when[5:7]) + 5) % 12 + 1
    return f"{when[:5]}{month:02d}{when[7:]}"


PROMPTS: tuple[Prompt, ...] = (
    # Asked for any time.
    Prompt("where can I see the sea", "sea"),
    Prompt("I want to walk on the beach", "beach"),
    Prompt("the bank of a river", "river"),
    Prompt("boats moored in a harbor", "harbour"),
    Prompt("wetland full of reeds", "marsh"),
    Prompt("wide open grassland", "meadow"),
    Prompt("a walk in the leafy woods", "broadleaf forest"),
    Prompt("dark pine forest", "conifer forest"),
    Prompt("tropical palms", "palm trees"),
    Prompt("dry desert with sand dunes", "desert"),
    Prompt("bare rocky terrain", "rocks"),
    Prompt("farms growing wheat", "wheat field"),
    Prompt("flooded rice fields", "rice paddy"),
    Prompt("where wine is made, rows of vines", "vineyard"),
    Prompt("orchard with fruit trees", "orchard"),
    Prompt("red tiled roofs", "red roofs"),
    Prompt("white houses in a village", "white houses"),
    Prompt("a big city with glass towers", "skyscrapers"),
    Prompt("smoking factory chimneys", "factory"),
    Prompt("green park in the city with a bench", "park"),
    Prompt("high mountain peaks", "mountains"),
    Prompt("old village church", "church"),
    # Asked for a season or an hour.
    Prompt("stuck in a traffic jam on the way to work", "traffic jam", "2021-05-12T08:00"),
    Prompt("buying fruit at the farmers market", "market", "2021-05-15T10:00"),
    Prompt("a crowd of shoppers on the sidewalks", "crowd", "2021-06-12T15:00"),
    Prompt("drinking coffee outside at a cafe", "cafe terrace", "2021-07-10T16:00"),
    Prompt("a summer festival with fireworks", "festival", "2021-07-10T22:00"),
    Prompt("lit windows at night", "night lights", "2021-10-10T23:00"),
    Prompt("kids playing on the swings", "children playing", "2021-06-10T15:00"),
    Prompt("factory workers in helmets", "workers", "2021-04-14T11:00"),
    Prompt("a tractor harvesting grain", "harvest", "2021-07-20T14:00"),
    Prompt("people picking grapes for wine", "grape pickers", "2021-10-05T12:00"),
    Prompt("trees full of pink blossom", "blossom", "2021-04-15T12:00"),
    Prompt("golden trees in the fall", "autumn leaves", "2021-10-20T12:00"),
    Prompt("cows grazing on a pasture", "cows", "2021-06-01T12:00"),
    Prompt("people skiing down a slope", "skiers", "2021-01-15T12:00"),
    Prompt("hiking in the mountains with a backpack", "hikers", "2021-07-15T11:00"),
    Prompt("sunbathing and swimming", "bathers", "2021-07-20T14:00"),
    Prompt("white sails on the water", "sailing boats", "2021-07-20T14:00"),
    Prompt("a man fishing early in the morning", "fishermen", "2021-06-10T06:00"),
    Prompt("camping with a tent and a fire", "camp fire", "2021-07-15T22:00"),
    Prompt("a flock of wild geese", "geese", "2021-10-15T09:00"),
)
"""Prompts for places, at any time or at one; the caption grammar cannot produce a third of them."""

SEASONAL_PROMPTS: tuple[Prompt, ...] = (
    Prompt("snow on the ground", "snow", "2021-01-15T12:00"),
    Prompt("autumn leaves", "autumn leaves", "2021-10-15T12:00"),
    Prompt("sunbathers on the beach", "bathers", "2021-07-15T14:00"),
    Prompt("a street party with fireworks", "festival", "2021-07-15T22:00"),
    Prompt("city lights", "night lights", "2021-12-15T23:00"),
    Prompt("rush hour traffic", "traffic jam", "2021-05-15T08:00"),
    Prompt("a street market", "market", "2021-05-15T10:00"),
    Prompt("people at an outdoor cafe", "cafe terrace", "2021-07-15T15:00"),
    Prompt("skiers", "skiers", "2021-01-15T12:00"),
    Prompt("hikers in the mountains", "hikers", "2021-07-15T12:00"),
    Prompt("a combine harvester", "harvest", "2021-07-15T12:00"),
    Prompt("picking grapes", "grape pickers", "2021-10-15T12:00"),
    Prompt("blooming fruit trees", "blossom", "2021-04-15T12:00"),
    Prompt("a starry night", "starry sky", "2021-12-15T23:00"),
    Prompt("sunny weather and a blue sky", "blue sky", "2021-07-15T12:00"),
    Prompt("a campfire and a tent", "camp fire", "2021-07-15T22:00"),
    Prompt("sailing boats", "sailing boats", "2021-07-15T14:00"),
    Prompt("wild flowers in bloom", "wild flowers", "2021-04-15T12:00"),
    Prompt("cows grazing", "cows", "2021-07-15T12:00"),
    Prompt("fishing at dawn", "fishermen", "2021-06-15T06:00"),
    Prompt("factory workers", "workers", "2021-05-15T11:00"),
    Prompt("children on a playground", "children playing", "2021-06-15T15:00"),
)
"""Prompts for what comes and goes, to compare over months and hours; `when` is a time when it is likely."""
