"""The home page: environments as they stand, what needs somebody, and nothing of another team."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from console.estate import Standing
from console.pages import waiting
from console.pages.environment_now import today
from console.pages.home import card
from console.words.reader import Reader
from fleet.cloud import Cloud
from fleet.glance import Glance, Machines
from fleet.project import Project
from fleet.runs import RunStatus
from fleet.session import Session
from stacks.problems import Problem
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab
from tests.run_environment import make_specs

pytestmark = pytest.mark.console

ENGLISH = Reader("en", "UTC")
TODAY = datetime.date(2026, 11, 23)
MACHINES = Machines(busy=1, idle=1, busy_gpus=4, idle_gpus=4, usd_per_hour=11.4, unpriced=())
GLANCE = Glance(
    time="2026-11-23T10:00:00+00:00", built="all", machines=MACHINES, usd_per_hour=12.5,
    lease_ends=datetime.date(2026, 12, 31),
)  # fmt: skip
SESSION = Session(Project(root=Path(), home=Path()), Cloud("aws"), *make_specs("studio", 2))
STANDING = Standing(name="studio", session=SESSION, glance=GLANCE)


def seen(standing: Standing) -> str:
    return str(card(ENGLISH, standing, TODAY))


def test_a_card_says_what_works_what_idles_what_it_costs_and_when_it_ends() -> None:
    figures = {figure.label: figure.value for figure in card(ENGLISH, STANDING, TODAY).figures}
    assert figures == {
        "Runs under way": "0",
        "GPUs busy / idle": "4 / 4",
        "Cost an hour now, at list price": "$12.50",
        "Lease ends": "December 31, 2026",
    }
    assert card(ENGLISH, STANDING, TODAY).needs == ()


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (-1, "Its lease is over: its machines are ended."),
        (0, "Its lease ends today, at midnight UTC: fetch what you need, or have it extended."),
        (1, "Its lease ends in 1 day: fetch what you need, or have it extended."),
        (7, "Its lease ends in 7 days: fetch what you need, or have it extended."),
    ],
)
def test_a_lease_that_ends_soon_needs_somebody(days: int, told: str) -> None:
    ends = replace(GLANCE, lease_ends=TODAY + datetime.timedelta(days=days))
    assert card(ENGLISH, replace(STANDING, glance=ends), TODAY).needs == (told,)


def test_nodes_that_all_idle_need_somebody() -> None:
    idle = replace(GLANCE, machines=replace(MACHINES, busy=0, busy_gpus=0))
    assert "All of its nodes are idle and cost money" in seen(replace(STANDING, glance=idle))


def test_a_price_that_is_not_known_is_said() -> None:
    unpriced = replace(GLANCE, machines=replace(MACHINES, unpriced=("z9.huge",)))
    assert "without z9.huge, whose price is not known" in seen(replace(STANDING, glance=unpriced))


def test_what_could_not_be_looked_at_is_said_and_not_shown_as_nothing() -> None:
    silent = replace(STANDING, glance=None, trouble="SlowDown: reduce your request rate")
    found = card(ENGLISH, silent, TODAY)
    assert (found.state.name, found.figures) == ("not known", ())
    assert [each.what for each in found.trouble] == ["SlowDown: reduce your request rate"] and found.needs
    broken = Standing(
        name="studio", session=None, glance=None, problems=(Problem(what="no such key", do="mend"),)
    )
    assert "no such key" in seen(broken) and "mend" in seen(broken) and "can't be read" in seen(broken)


def test_one_thing_to_do_where_there_is_nothing(lab: ConsoleLab) -> None:
    page = lab.signed_in("member").get("/").text
    assert "Your teams have no environment yet" in page and "fleetform init NAME" in page
    page = lab.signed_in("operator").get("/").text
    assert "A launch makes one" in page and page.count('href="/launch">Launch a training') == 1
    assert "You are in no team yet" in lab.signed_in().get("/").text


@pytest.mark.sandbox
def test_a_team_sees_its_own_environments_and_runs_and_no_others(studio: Studio) -> None:
    mine = studio.lab.signed_in("viewer", team="tests").get("/").text
    runs = re.findall(r'href="/environments/studio/runs/([a-z0-9-]+)"', mine)
    assert runs and set(runs) <= set(studio.environment.store.run_ids()), "the newest: other tests add some"
    assert "studio" in mine and "vault" not in mine
    theirs = studio.lab.signed_in("viewer", team="others").get("/").text
    assert "vault" in theirs and "not built" in theirs
    assert "studio" not in theirs and not any(run in theirs for run in runs)
    everything = studio.lab.signed_in("auditor", team="*").get("/").text
    assert "studio" in everything and "vault" in everything


@pytest.mark.sandbox
def test_the_page_reads_in_korean(studio: Studio) -> None:
    page = studio.lab.signed_in("viewer", language="ko-KR").get("/").text
    assert '<html lang="ko">' in page and "사용 기한" in page and "최근 실행" in page


def test_a_lease_that_ends_within_a_day_waits_for_its_people() -> None:
    reader = SimpleNamespace(reader=ENGLISH)
    for days, waits in ((-1, True), (0, True), (1, True), (2, False)):
        ends = replace(GLANCE, lease_ends=today() + datetime.timedelta(days=days))
        found = list(waiting._leases(reader, [replace(STANDING, glance=ends)]))  # type: ignore[arg-type]
        assert [each.href for each in found] == ["/environments/studio/lease"] * waits, days


def test_a_run_that_makes_no_progress_waits_for_whoever_may_end_it() -> None:
    why = "idle: no training step since 2026-11-23 10:00 UTC, the last was step 9; it is stopped at ..."
    idle = RunStatus(
        run_id="r-1", state="RUNNING", program="digits", fleet="gpu", nodes=1, procs_per_node=1,
        actor="tests", submitted="2026-11-23T10:00:00Z", started=None, ended=None, cause="", placed=(),
        idle=why,
    )  # fmt: skip
    runs = [idle, replace(idle, run_id="r-2", idle=""), replace(idle, run_id="r-3", state="TIMED_OUT")]
    for may, found in ((True, ["r-1"]), (False, [])):
        visit = SimpleNamespace(
            reader=ENGLISH,
            person=SimpleNamespace(id="ann"),
            may=lambda verb, team, own, may=may: may and verb == "run.stop",
        )
        needs = list(waiting._idle_runs(visit, STANDING, runs))  # type: ignore[arg-type]
        assert [each.place for each in needs] == found
        assert all(each.said is not None and each.said.text == why for each in needs)
