import math

import pytest
from jinja2 import UndefinedError

from sat2cap.report import Picture, render_page


@pytest.fixture
def template(tmp_path):
    """Write a template and render it."""

    def render(text: str, values: dict, figures: dict[str, float]) -> str:
        (tmp_path / "t.html").write_text(text)
        return render_page("t.html", values, figures, folder=tmp_path).strip()

    return render


def test_a_figure_carries_its_name_and_full_value(template) -> None:
    html = template("{{ fig('a.b', '{:.1%}') }}", {}, {"a.b": 0.12345})
    assert html == '<data value="0.12345" data-figure="a.b" data-form="{:.1%}">12.3%</data>'


@pytest.mark.parametrize("figures", [{}, {"a": math.nan}])
def test_a_figure_that_is_not_there_is_a_dash(template, figures) -> None:
    assert template("{{ fig('a') }}", {}, figures) == '<span class="none">–</span>'


def test_a_share_stays_within_its_bar(template) -> None:
    text = "{{ share('x', 0.5, 1) }} {{ share('low', 0.5, 1) }} {{ share('high') }} {{ share('none') }}"
    assert template(text, {}, {"x": 0.75, "low": 0.1, "high": 3.0}) == "50.0% 0.0% 100.0% 0.0%"


def test_what_people_write_is_escaped(template) -> None:
    picture = Picture("data:image/png;base64,AA==", 3, 2, 'a "<b>"')
    html = template("<p>{{ text }}</p>{{ img(picture, 'cells') }}", {"text": "<i>", "picture": picture}, {})
    assert "<p>&lt;i&gt;</p>" in html
    assert 'class="cells" src="data:image/png;base64,AA==" width="3" height="2"' in html
    assert "<b>" not in html


def test_a_template_that_uses_what_is_not_shown_is_a_fault(template) -> None:
    with pytest.raises(UndefinedError):
        template("{{ forgotten }}", {}, {})
