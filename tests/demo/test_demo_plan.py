from sat2cap.demo.labels import format_when, to_slug
from sat2cap.demo.plan import DemoPlan, select_prompts
from sat2cap.geo.region import parse_region
from sat2cap.geo.when import When
from sat2cap.miniworld.prompts import PROMPTS
from sat2cap.training.run import load_run


def test_the_full_plan_shows_what_it_must() -> None:
    plan = DemoPlan()
    assert len(plan.prompts) >= 30
    assert len(plan.map_prompts) >= 8
    assert {bool(prompt.when) for prompt in plan.map_prompts} == {True, False}
    assert (
        min(
            map(
                len,
                (
                    plan.winter_prompts,
                    plan.summer_prompts,
                    plan.hour_prompts,
                    plan.calendar_prompts,
                    plan.search_prompts,
                ),
            )
        )
        >= 2
    )
    assert plan.test_world != plan.train_world
    assert plan.test_photos * 0.9 > plan.gallery == 2000
    assert 100 <= plan.caption_pairs <= plan.gallery
    assert len(plan.caption_prompts) >= 2


def test_its_countries_lie_in_both_hemispheres() -> None:
    for country in DemoPlan().countries:
        box = parse_region(country.region).geometry.boundingbox
        assert (box.top < 0) == country.south
        assert box.bottom * box.top > 0
    assert {country.south for country in DemoPlan().countries} == {True, False}


def test_prompts_have_names_of_their_own() -> None:
    plan = DemoPlan()
    for prompts in (plan.prompts, plan.seasonal_prompts, plan.map_prompts):
        assert len({to_slug(prompt.text) for prompt in prompts}) == len(prompts)


def test_its_run_file_ships_and_is_sound() -> None:
    run = load_run(DemoPlan().run_file)
    assert run.model.dynamic
    assert run.model.init == "miniclip"


def test_prompts_are_chosen_by_what_they_mean() -> None:
    assert [p.concept for p in select_prompts(PROMPTS, "market", "nothing", "sea")] == ["market", "sea"]


def test_words() -> None:
    assert to_slug("Kids, playing on the swings!") == "kids_playing_on_the_swings"
    assert format_when(When(2021, 7, 5, 8.5)) == "5 July, 08:30"
    assert format_when(None) == ""
