"""How long the demo will take, as it says before it begins."""

from dataclasses import replace

import pytest

from sat2cap.demo import duration, steps
from sat2cap.demo.plan import DemoPlan, quick_plan


@pytest.fixture
def one_second_steps(monkeypatch):
    """A machine with drawings of 10 ms and training steps of a second, or half with half of the tokens."""
    monkeypatch.setattr(duration, "measure_step_seconds", lambda run, start: 1 - run.augment.token_dropout)
    monkeypatch.setattr(duration, "measure_drawing_seconds", lambda plan: 0.01)


def test_it_is_the_sum_of_its_parts(one_second_steps, tmp_path):
    plan = replace(DemoPlan(), train_photos=1000, test_photos=0, countries=())
    run = steps.configure_run(plan, tmp_path)
    seconds = duration.estimate_demo_seconds(plan, run, None)
    training = run.optim.steps * (0.95 * 0.5 + 0.05)  # the last twentieth of the steps see whole images
    drawings = 1000 * (1.8 / plan.workers + 1.25) + 15_000
    assert seconds == pytest.approx(training + drawings * 0.01)
    whole = duration.estimate_demo_seconds(plan, run.with_token_dropout(0), None)
    assert whole == pytest.approx(run.optim.steps + drawings * 0.01)


def test_the_quick_demo_takes_a_third_at_most(one_second_steps, tmp_path):
    full, quick = (
        duration.estimate_demo_seconds(plan, steps.configure_run(plan, tmp_path), None)
        for plan in (DemoPlan(), quick_plan())
    )
    assert quick < full / 3


@pytest.mark.parametrize(
    ("seconds", "quick", "sentence"),
    [
        (42.4, False, "the demo will take about 42 seconds on this machine"),
        (290, False, "the demo will take about 5 minutes on this machine"),
        (1500, False, "the demo will take about 25 minutes on this machine; a smaller one: --quick"),
        (1500, True, "the demo will take about 25 minutes on this machine"),
    ],
)
def test_the_sentence(seconds, quick, sentence):
    assert duration.describe_duration(seconds, quick=quick) == sentence


def test_a_measured_step_is_that_of_the_run(ran, tmp_path):
    from sat2cap.catalogue import resolve_model
    from sat2cap.training import measure_step_seconds

    run = steps.configure_run(ran.plan, tmp_path)
    start = resolve_model(run.model.init)
    weights = start.overhead.state_dict()
    before = {name: value.clone() for name, value in weights.items()}
    assert 0 < measure_step_seconds(run, start) < 60
    assert all(bool((weights[name] == value).all()) for name, value in before.items())


def test_a_drawing_is_measured(ran):
    assert 0 < duration.measure_drawing_seconds(ran.plan) < 1


def test_it_is_said_before_anything_else(ran):
    assert ran.reports[0][0].startswith("the demo will take about ")
