"""Where teams share an environment, each sees its own limit: on the environment's page, before a launch."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stacks import naming
from tests.console.conftest import Studio
from tests.console.lab import Visitor
from tests.console.launching import begin, bring, draft_at, press, resize
from tests.iam_helpers import ACCOUNT
from tests.purse import put_run
from tests.run_environment import REGION
from tests.sandbox_helpers import admin, api, wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]
MONEY, TEAM = "/environments/studio/money", "speech"
ACTIVE = f"{TEAM}-20991122-100000-aaaaa"


@contextmanager
def declared(studio: Studio, tables: str) -> Iterator[None]:
    """Let the studio's file have more tables for as long as the block lasts."""
    file: Path = studio.lab.services.settings.project.environment_file("studio")
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}\n{tables}", encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def shared(studio: Studio) -> Iterator[Studio]:
    """The studio, which the team `speech` shares with a limit of 45 USD; its run may yet cost four hours."""
    ssm, outputs = studio.environment.session.client("ssm"), studio.environment.outputs
    parameter = {"Name": naming.outputs_parameter("studio"), "Type": "String", "Overwrite": True}
    teams = {"default_team": "tests", "teams": ("tests", TEAM)}
    ssm.put_parameter(**parameter, Value=outputs.model_copy(update=teams).to_json())
    # A run that no head was told of is lost after a minute; this one stays as new as that.
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    put_run(studio.environment, ACTIVE, soon, [], team=TEAM)
    with declared(studio, f"[scheduler.teams.{TEAM}]\nusd_per_month = 45\n"):
        yield studio
    for name in studio.environment.store.sizes(ACTIVE):
        studio.environment.store.delete(ACTIVE, name)
    ssm.put_parameter(**parameter, Value=outputs.to_json())


def rows(page: str) -> dict[str, list[str]]:
    """Return the cells of the table of teams by the team."""
    found = re.findall(r'<tr><th scope="row">([^<]*)</th>((?:<td class="amount">[^<]*</td>){4})</tr>', page)
    return {team: re.findall(r'amount">([^<]*)<', cells) for team, cells in found}


def test_each_sees_the_figures_of_the_teams_whose_runs_they_may_see(shared: Studio) -> None:
    viewer = shared.lab.signed_in("viewer", TEAM)
    theirs = wait_for(lambda: rows(viewer.get(MONEY).text))
    assert theirs == {TEAM: ["$0.00", "$4.02", "$45.00", "$40.98"]}
    assert list(rows(shared.lab.signed_in("viewer").get(MONEY).text)) == ["tests"]
    both = rows(shared.lab.signed_in("viewer", "*").get(MONEY).text)
    assert list(both) == ["tests", TEAM] and both["tests"][2:] == ["", ""], "the own team has no such limit"


def test_where_nobody_shares_it_no_table_of_teams_stands(studio: Studio) -> None:
    assert "Of that, runs by team" not in studio.lab.signed_in("viewer").get("/environments/vault/money").text


def test_a_launch_over_the_team_s_limit_ends_at_the_review_though_the_environment_has_none(
    shared: Studio,
) -> None:
    member = shared.lab.signed_in("member", TEAM)
    path = begin(member)
    review = bring(member, path)
    resize(member, path, minutes=2800)
    page = member.get(f"{review}?look=1").text
    assert "It may cost up to $46.95, and $40.98 is left of the own limit of the team speech." in page
    assert "Own limit of the team speech" in page and "It has no limit." in page
    assert f"{path}/start" not in page and f"{path}/ask" in page
    assert press(shared.lab, member, path).status_code == 422
    assert draft_at(shared.lab, path).act == ""
    korean = _page(shared, path, member)
    assert "팀 speech의 자체 한도" in korean
    resize(member, path, minutes=60)
    page = member.get(f"{review}?look=1").text
    assert f"{path}/start" in page
    assert "At least $39.97 is left with this launch." in re.findall(r"[^<>]* is left [^<>]*", page)


def _page(shared: Studio, path: str, member: Visitor) -> str:
    """Return the review as its reader gets it in Korean."""
    other = shared.lab.visitor("ko-KR")
    other.sign_in(member.login)
    return str(other.get(f"{path}/review?look=1").text)


@pytest.fixture
def counted(studio: Studio) -> Iterator[None]:
    """The studio with a budget in AWS Budgets that stops nobody yet, at 412.10 of 500 USD."""
    client = api(studio.environment.session.cloud, "budgets")
    name = naming.budget_name("studio", REGION)
    about: dict[str, Any] = {"AccountId": ACCOUNT, "BudgetName": name}
    limit = {"Amount": "500", "Unit": "USD"}
    budget = {"BudgetName": name, "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"}
    client.create_budget(AccountId=ACCOUNT, Budget=budget)
    admin(studio.environment.session.cloud, "POST", "budget", {"budget": name, "usd": 412.10})
    file = studio.lab.services.settings.project.environment_file("studio")
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"(?m)^#usd_per_month = 0$", "usd_per_month = 400", text), encoding="utf-8")
    yield
    file.write_text(text, encoding="utf-8")
    client.delete_budget(**about)


def test_the_page_tells_what_aws_budgets_has_counted_of_the_bill(studio: Studio, counted: None) -> None:
    viewer, told = studio.lab.signed_in("viewer"), "AWS Budgets: 412.10 USD of 500.00 USD by the bill"
    page = wait_for(lambda: next((text for text in (viewer.get(MONEY).text,) if told in text), None))
    assert "AWS Budgets counts against 500.00 USD and not 400.00: `fleetform up studio` changes that" in page
    korean = studio.lab.signed_in("viewer", language="ko-KR").get(MONEY).text
    assert "AWS Budgets: 청구액 기준 500.00 USD 중 412.10 USD" in korean
