# ruff: noqa: E501 (a table, one row a line)
"""Captions that people write under their photos: a varied grammar over what a scene shows.

Captions train the miniature CLIP and the captioner. A caption mentions one to four of the concepts in the picture, in
any order.
"""

import numpy as np

from sat2cap.miniworld.scenes.scene import Scene

Random = np.random.Generator

CONCEPT_PHRASES: dict[str, tuple[str, ...]] = {
    "sea": ("the {water} sea", "the ocean", "{water} ocean water", "open water", "waves on the sea", "a sea view", "the coast and the water"),
    "beach": ("a {sand} beach", "a sandy beach", "{sand} sand by the sea", "the seaside", "a beach with {sand} sand", "the shore"),
    "cliffs": ("steep cliffs", "a cliff by the sea", "rocky cliffs", "a rocky coast", "high sea cliffs"),
    "river": ("a river", "a {water} river", "a stream", "the riverside", "a winding river", "flowing water", "the banks of a river"),
    "harbour": ("a harbour", "boats in the harbor", "fishing boats at the pier", "a port with moored boats", "the marina", "a dock", "ships in port"),
    "marsh": ("a marsh", "a swamp", "wetland with reeds", "reeds and cattails", "a boggy wetland", "swampy ground"),
    "meadow": ("a green meadow", "grassland", "a grassy field", "open grass", "a meadow", "grassy hills"),
    "broadleaf forest": ("leafy trees", "a deciduous forest", "broadleaf woods", "a forest of oak and beech", "a leafy forest", "the woods"),
    "conifer forest": ("pine trees", "a spruce forest", "fir trees", "a conifer forest", "evergreen trees", "a pine forest"),
    "palm trees": ("palm trees", "a tropical jungle", "coconut palms", "tropical trees", "a rainforest with palms", "the jungle"),
    "desert": ("the desert", "sand dunes", "a dry desert", "{sand} sand dunes", "an arid desert", "desert sand"),
    "rocks": ("bare rocks", "boulders", "a rocky slope", "stony ground", "rocks and stones", "rocky terrain"),
    "glacier": ("a glacier", "ice and snow", "blocks of ice", "an ice field", "glacial ice", "eternal ice"),
    "wheat field": ("a wheat field", "fields of grain", "golden wheat", "a corn field", "farmland with wheat", "a farm field", "rows of grain"),
    "rice paddy": ("a rice paddy", "rice fields", "flooded rice terraces", "a paddy field", "rice growing in water"),
    "vineyard": ("a vineyard", "rows of vines", "grape vines", "wine country", "vines on a hill", "a winery with vineyards"),
    "orchard": ("an orchard", "fruit trees", "rows of apple trees", "an apple orchard", "fruit trees in a row"),
    "red roofs": ("houses with red roofs", "red tiled roofs", "terracotta roofs", "red roofed houses", "a neighbourhood of red roofs"),
    "grey roofs": ("houses with grey roofs", "slate roofs", "grey slate houses", "gray roofed houses", "houses under grey slate"),
    "white houses": ("white houses", "whitewashed houses", "white cubic houses with blue doors", "flat white houses", "whitewashed walls"),
    "thatched houses": ("thatched houses", "brown thatched roofs", "cottages with straw roofs", "thatched cottages", "houses with brown roofs"),
    "skyscrapers": ("skyscrapers", "tall buildings", "high rise towers", "a downtown skyline", "office towers", "a big city", "glass towers"),
    "factory": ("a factory", "smoking chimneys", "an industrial plant", "smokestacks", "a factory with chimneys", "industry"),
    "park": ("a city park", "a bench in the park", "a park bench", "a public garden", "a park", "a green park with a bench"),
    "highway": ("a highway", "a motorway", "a wide road", "an asphalt road", "the freeway", "a big road"),
    "country lane": ("a country lane", "a dirt road", "a gravel path", "an unpaved track", "a country road", "a small path"),
    "mountains": ("mountains", "high mountain peaks", "alpine peaks", "the mountains in the background", "mountain tops", "a mountain range"),
    "church": ("a church", "a church tower", "a village church", "a chapel with a steeple", "a church steeple"),
    "cows": ("cows", "cattle grazing", "a cow on the pasture", "grazing cows", "a black and white cow", "livestock"),
    "traffic jam": ("a traffic jam", "heavy traffic", "rush hour traffic", "cars stuck in traffic", "many cars on the road", "congested cars", "a busy road full of cars"),
    "market": ("a street market", "market stalls", "people selling fruit", "a farmers market", "fruit and vegetable stalls", "a market with striped awnings", "market day"),
    "crowd": ("a crowd of people", "many people", "crowded sidewalks", "a busy crowd", "lots of pedestrians", "shoppers on a busy street"),
    "cafe terrace": ("a cafe terrace", "people drinking coffee outside", "an outdoor cafe", "people sitting at a restaurant table", "dinner on a terrace", "tables outside a cafe"),
    "festival": ("a festival", "fireworks", "a party with fireworks", "a music festival on a stage", "people celebrating", "a concert with fireworks", "a street party"),
    "night lights": ("city lights", "lit windows", "the lights of the town", "glowing windows at night", "illuminated buildings", "street lights", "lights in the dark"),
    "children playing": ("children playing", "kids on a playground", "kids playing on a slide", "children on the swings", "a playground full of kids", "happy children at play"),
    "cyclists": ("a cyclist", "someone riding a bicycle", "people on bikes", "a bike ride", "cycling", "a person on a bike"),
    "umbrellas": ("people with umbrellas", "rain", "a rainy day", "an umbrella in the rain", "rainy weather", "heavy rain", "wet weather"),
    "workers": ("workers with helmets", "factory workers", "men in hard hats", "people working at a plant", "construction workers", "workers in orange vests"),
    "harvest": ("a combine harvester", "the harvest", "a tractor in the field", "harvesting wheat", "farmers harvesting grain", "a red tractor", "a farm machine"),
    "grape pickers": ("people picking grapes", "the grape harvest", "workers in the vineyard with baskets of grapes", "a basket of grapes", "picking grapes for wine"),
    "rice planting": ("people planting rice", "farmers in straw hats", "workers in the rice field", "planting rice seedlings", "women in straw hats"),
    "blossom": ("blossoming trees", "pink blossom", "cherry blossom", "apple trees in bloom", "trees full of pink flowers", "blooming fruit trees"),
    "apples": ("ripe apples", "a crate of apples", "picking apples", "the apple harvest", "a box of red apples", "fresh red apples"),
    "autumn leaves": ("autumn leaves", "colorful fall foliage", "orange and red leaves", "fall colors", "golden autumn trees", "trees turning red"),
    "wild flowers": ("wild flowers", "a flower meadow", "colorful flowers in the grass", "blooming flowers", "wildflowers"),
    "snow": ("snow", "a snowy landscape", "fresh snow", "snow on the ground", "everything covered in snow", "white snow"),
    "skiers": ("skiers", "people skiing", "a skier on the slope", "a ski resort", "skiing down the mountain", "winter sports"),
    "hikers": ("hikers", "people hiking", "a hiker with a backpack", "a mountain hike", "walking in the mountains", "trekking with a backpack"),
    "bathers": ("people sunbathing", "beach umbrellas", "sunbathers on towels", "swimming and sunbathing", "holiday makers with parasols", "a parasol and a towel"),
    "surfers": ("a surfer", "surfers with surfboards", "surfing", "someone with a surf board", "surfers waiting for waves"),
    "sailing boats": ("sailing boats", "a sailboat", "white sails", "yachts sailing", "sailing on the water", "a regatta of sail boats"),
    "fishermen": ("a fisherman", "people fishing", "a man with a fishing rod", "fishing at dawn", "an angler", "someone catching fish"),
    "fog": ("fog", "morning mist", "a foggy morning", "mist over the water", "foggy weather", "thick fog"),
    "geese": ("geese flying", "migrating birds", "a flock of geese", "birds in the sky", "wild geese", "bird watching"),
    "camp fire": ("a camp fire", "camping in a tent", "a tent and a campfire", "people camping", "a fire in the woods", "a tent in the forest"),
    "camels": ("a camel", "camels", "a camel ride", "a camel caravan", "riding a camel"),
    "sunset": ("sunset", "the setting sun", "an orange evening sky", "a beautiful sunset", "the sun on the horizon", "sunrise", "a red sky"),
    "starry sky": ("a starry sky", "stars at night", "the night sky full of stars", "the moon and stars", "a starry night", "stargazing"),
    "blue sky": ("a blue sky", "sunshine", "a sunny day", "sunny weather", "clear blue skies", "bright sun"),
}  # fmt: skip
"""Phrases that name each concept; ``{water}`` and ``{sand}`` stand for the colours of the region."""

SENTENCE_FRAMES = (
    "{all}", "{all}", "a photo of {all}", "a picture of {all}", "{all} here", "look at {all}", "we saw {all}",
    "my trip: {all}", "a view of {all}", "this is {all}", "i love {all}", "there is {all}", "enjoying {all}",
    "a place with {all}", "where you find {all}", "a good place for {all}", "near {all}", "holiday with {all}",
    "people like {all}", "what a day, {all}",
)  # fmt: skip
"""Sentences around the joined phrases, ``{all}``."""

CONJUNCTIONS = (" and ", ", ", " with ", " near ", " next to ", " by ", " in front of ", ", also ")

SEASON_PHRASES = {"spring": ("in spring", "in april", "on a spring day"), "summer": ("in summer", "in the summer", "on a summer day"),
           "autumn": ("in autumn", "in the fall", "on an autumn day"), "winter": ("in winter", "on a cold winter day", "in the winter")}  # fmt: skip
NIGHT_PHRASES = ("at night", "in the dark", "by night", "after dark", "late at night")
DAY_PHRASES = ("during the day", "in daylight", "by day", "at noon")


def write_caption(scene: Scene, r: Random) -> str:
    """Return one caption in lower case; for a scene that shows no concept, one about nothing in particular."""
    names = sorted(scene.shown)
    r.shuffle(names)
    names = names[: int(r.integers(1, 5))]
    phrases = [_concept_phrase(name, scene, r) for name in names] or [
        str(r.choice(("an empty place", "nothing special", "a plain landscape")))
    ]
    if r.random() < 0.3:
        phrases = phrases[:1]
    text = phrases[0]
    for phrase in phrases[1:]:
        text += str(r.choice(CONJUNCTIONS)) + phrase
    text = str(r.choice(SENTENCE_FRAMES)).format(all=text)
    return f"{text} {_time_phrase(scene, r)}".strip()


def _concept_phrase(name: str, scene: Scene, r: Random) -> str:
    return str(r.choice(CONCEPT_PHRASES[name])).format(water=scene.water_name, sand=scene.sand_name)


def _time_phrase(scene: Scene, r: Random) -> str:
    """Return, now and then, the time of day or the season, if the picture shows it; otherwise an empty string."""
    luck = r.random()
    if scene.day < 0.5 and luck < 0.35:
        return str(r.choice(NIGHT_PHRASES))
    if scene.day > 0.9 and luck < 0.1:
        return str(r.choice(DAY_PHRASES))
    if scene.season and luck > 0.88:
        return str(r.choice(SEASON_PHRASES[scene.season]))
    return ""
