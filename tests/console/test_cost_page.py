"""What environments came to, as a page: pictures and the same figures in tables, nothing of other teams."""

from __future__ import annotations

import datetime
import re
from fractions import Fraction

import pytest
from playwright.sync_api import Browser, expect

from console.pages.cost_view import uses_of, view
from console.words.reader import Reader
from fleet.costs.read import EnvironmentCosts
from fleet.costs.report import USES, Line
from fleet.costs.told import Chosen, cost_report
from fleet.policy import Grant
from templates.console.cost import Costs
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio

pytestmark = pytest.mark.console
ENGLISH = Reader("en", "UTC")
BEGIN = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
NOW = BEGIN + datetime.timedelta(days=20)


def line(usd: int, **told: str) -> Line:
    usual = {
        "day": "2026-11-02", "environment": "vision", "team": "vision", "person": "kim", "run": "r-1",
        "fleet": "gpu", "use": "useful",
    }  # fmt: skip
    return Line(**{**usual, **told}, gpu_hours=Fraction(usd), node_hours=Fraction(usd), usd=Fraction(usd))


def costs(*lines: Line, by: str = "team", notes: tuple[str, ...] = ()) -> Costs:
    found = EnvironmentCosts(environment="vision", lines=lines, prices=("machines: somewhere",), notes=notes)
    return view(ENGLISH, cost_report([found], BEGIN, NOW, by, Chosen()), NOW)


def test_a_bar_is_as_long_as_its_money_and_its_parts_make_it_up() -> None:
    found = costs(line(30), line(10, use="idle", run="", person=""), line(20, team="audio", run="r-2"))
    long_, short = found.groups.names
    assert (long_.text, short.text) == ("vision", "audio")
    widths = [float(each.width) for each in found.groups.blocks]
    assert widths == [345.0, 115.0, 230.0]
    first, second, third = found.groups.blocks
    assert float(first.x) + float(first.width) == float(second.x) and third.x == first.x
    assert [each.text for each in found.groups.amounts] == ["$40.00", "$20.00"]
    assert second.title == "Idle: $10.00"


def test_columns_of_days_stand_on_the_floor_and_are_as_high_as_their_money() -> None:
    found = costs(line(30), line(10, use="idle"), line(20, day="2026-11-03"))
    heights = [float(each.height) for each in found.days.blocks]
    assert heights == [127.5, 42.5, 85.0]
    assert {float(each.y) + float(each.height) for each in found.days.blocks} == {190.0, 62.5}
    assert [each.text for each in found.days.names] == ["11-02", "11-03"]


def test_the_tables_have_the_pictures_figures_and_add_up() -> None:
    found = costs(line(30), line(10, use="idle"), line(20, team="audio"))
    assert [(each.name, each.cells[-1]) for each in found.money.lines] == [
        ("vision", "$40.00"),
        ("audio", "$20.00"),
    ]
    assert found.money.whole.cells[-1] == "$60.00" and found.hours.whole.cells[-1] == "60"
    assert found.by_day.lines[0].cells[USES.index("idle")] == "$10.00"


def test_a_note_of_one_of_several_environments_is_in_the_readers_language() -> None:
    note = (
        "the trail was not read: of machines that EC2 has forgotten only the time between their runs is idle"
    )
    both = [
        EnvironmentCosts(environment=name, lines=(), prices=(), notes=(note,)) for name in ("vision", "audio")
    ]
    found = view(Reader("ko", "UTC"), cost_report(both, BEGIN, NOW, "team", Chosen()), NOW)
    assert [each.text.partition(": ")[0] for each in found.notes] == ["vision", "audio"]
    assert not any(each.language or "trail" in each.text for each in found.notes)


def test_nothing_is_a_page_too() -> None:
    found = costs()
    assert found.groups.blocks == () and found.money.lines == () and found.money.whole.cells[-1] == "$0.00"


def test_a_picture_of_many_says_what_it_leaves_out_and_links_go_to_runs() -> None:
    found = costs(*(line(each + 1, run=f"r-{each}") for each in range(15)), by="run")
    assert len(found.groups.names) == 12 and found.groups.more == "3 more are in the table."
    assert found.money.lines[0].href == "/environments/vision/runs/r-14"


def test_every_use_has_its_colour() -> None:
    from console.web.assets import FOLDER

    styles = (FOLDER / "cost.css").read_text(encoding="utf-8")
    assert set(re.findall(r"\.use-([a-z_]+) \{", styles)) == {each.code for each in uses_of(ENGLISH)}


# ------------------------------------------------------------------------------------- over the sandbox


@pytest.mark.sandbox
def test_the_page_shows_what_an_environment_came_to(studio: Studio) -> None:
    page = studio.lab.signed_in("viewer").get("/environments/studio/cost?by=run&look=1").text
    assert "What the money went into" in page and "<svg" in page
    assert f'href="/environments/studio/runs/{studio.run_id}"' in page
    assert "the catalogue of fleetform" in page and "fleetform cost studio --by run" in page


@pytest.mark.sandbox
def test_another_team_s_environment_is_not_in_it(studio: Studio) -> None:
    viewer = studio.lab.signed_in("viewer")
    page = viewer.get("/cost?by=environment&look=1").text
    assert "/environments/studio/cost" in page and "vault" not in page
    assert viewer.get("/environments/vault/cost").status_code == 404
    stranger = studio.lab.signed_in("viewer", team="strangers")
    assert "studio" not in stranger.get("/cost?look=1").text


@pytest.mark.sandbox
def test_a_period_that_is_none_is_told(studio: Studio) -> None:
    answer = studio.lab.signed_in("viewer").get("/cost?since=2026-11-07&until=2026-11-01")
    assert answer.status_code == 422 and "ends before it begins" in answer.text


@pytest.mark.sandbox
@pytest.mark.browser
@pytest.mark.parametrize(("language", "width", "dark"), [("ko", 1280, True), ("en", 360, False)])
def test_everybody_can_use_it(
    studio: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    with window(chromium, studio.lab, language=language, width=width, dark=dark) as seen:
        seen.sign_in(person.subject)
        page = seen.open("/environments/studio/cost?by=run")
        expect(page.locator("svg").first).to_be_visible(timeout=60_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        assert_accessible(page)
