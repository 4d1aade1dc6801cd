"""A team that shares an environment has a limit of its own, to which its runs are held beside the budget."""

from __future__ import annotations

import dataclasses
import datetime
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet import handover, reservation, resume, submit
from fleet.budget import Budget, read_budget
from fleet.cloud import Cloud
from fleet.holds import new_hold, read_holds, write_holds
from fleet.job import JobSpec, build_request
from fleet.job_queueing import site_of
from fleet.limits import require_within
from fleet.project import Project
from fleet.reservation import reserving
from fleet.runs import read_run
from fleet.session import Session
from fleet.team_budgets import TeamBudget
from scripts.budget import team_rows
from stacks import naming
from stacks.budget_spec import BudgetSpec
from stacks.guardrails import check_directory
from stacks.problems import Problem, UserError
from stacks.scheduler_spec import SchedulerSpec
from templates.engine import render
from templates.ssm_documents import RunJobDocument, team_run_id_pattern
from tests.purse import MONTH, NODE_PRICE, NOW, forget_runs, put_receipt, put_run
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import wait_for
from tests.spec_files import environment_text, write_folder

pytestmark = pytest.mark.sandbox
NAME, TEAM = "kitty", "speech"
LIMIT = f"scheduler.teams.{TEAM}.usd_per_month"
MUCH = 100_000.0


@pytest.fixture(scope="module")
def shared(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    """An environment that the team `speech` shares, with the document that it submits by."""
    root = tmp_path_factory.mktemp(NAME)
    made = build(sandbox, Project(root=root, home=sandbox_home), NAME, nodes=1)
    document = RunJobDocument(environment=NAME, team=TEAM, run_id_pattern=team_run_id_pattern(TEAM))
    made.session.client("ssm").create_document(
        Name=naming.run_document(NAME, TEAM),
        Content=render(document),
        DocumentType="Command",
        DocumentFormat="YAML",
    )
    teams = {"scheduler": "slurm", "default_team": "tests", "teams": ("tests", TEAM)}
    environment = dataclasses.replace(made, outputs=made.outputs.model_copy(update=teams))
    yield environment
    environment.remove()


@pytest.fixture
def empty(shared: RunEnvironment) -> Iterator[RunEnvironment]:
    """The environment without any run, and with nothing held."""
    forget_runs(shared)
    yield shared
    forget_runs(shared)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n")
    return path


def limited(shared: RunEnvironment, team: float, whole: float = 0.0) -> Session:
    """Return the session of a file with these limits on the team and on the environment."""
    scheduler = SchedulerSpec.model_validate({"teams": {TEAM: {"usd_per_month": team}}})
    update = {"scheduler": scheduler, "budget": BudgetSpec(usd_per_month=whole)}
    return dataclasses.replace(shared.session, spec=shared.session.spec.model_copy(update=update))


def job(script: Path, hours: int, team: str | None = TEAM) -> JobSpec:
    return JobSpec(environment=NAME, script=script, max_minutes=hours * 60, team=team)


def refused(session: Session, shared: RunEnvironment, asked: JobSpec) -> tuple[Problem, ...]:
    with pytest.raises(UserError) as caught:
        submit.submit(session, shared.outputs, asked)
    return tuple(caught.value.problems)


def of_team(budget: Budget, team: str = TEAM) -> TeamBudget:
    return next(each for each in budget.teams if each.team == team)


def checked(session: Session, shared: RunEnvironment, asked: JobSpec, submitting: str = "") -> Any:
    site = site_of(shared.outputs, session.cloud.variables)
    request = build_request(asked, shared.outputs.fleets, 0, site)
    return partial(require_within, session, request, shared.outputs, submitting=submitting)


# ----------------------------------------------------------------------------------------------- refusing


def test_a_team_over_its_own_limit_is_refused_while_the_environment_has_room(
    empty: RunEnvironment, script: Path
) -> None:
    put_run(empty, f"{TEAM}-20991122-100000-aaaaa", NOW, [])  # two nodes for two hours
    before = empty.store.keys("")
    session = limited(empty, 8 * NODE_PRICE, MUCH)
    (problem,) = refused(session, empty, job(script, 10))
    assert problem.path == LIMIT
    left = f"{4 * NODE_PRICE:.2f} USD is left of the {8 * NODE_PRICE:g} USD of the team {TEAM} in {NAME} for"
    assert left in problem.what and f"{4 * NODE_PRICE:.2f} USD kept for active runs" in problem.what
    assert (
        f"`--max-minutes 240`; or wait until active runs end or the month does, or have {LIMIT} raised in"
        in (problem.do)
    )
    assert empty.store.keys("") == before
    last = empty.session.ledger.entries()[-1]
    assert (last["event"], last["outcome"]) == ("run.submit", "refused")
    assert checked(session, empty, job(script, 4))()
    assert checked(session, empty, job(script, 10, team=None))(), (
        "the environment's own team is not held to it"
    )


def test_a_team_within_its_own_limit_is_refused_where_the_environment_has_no_room(
    empty: RunEnvironment, script: Path
) -> None:
    spent = read_budget(limited(empty, 0)).spent
    (problem,) = refused(limited(empty, 20 * NODE_PRICE, spent + 2 * NODE_PRICE), empty, job(script, 10))
    assert problem.path == "budget.usd_per_month" and f"of {NAME} for" in problem.what


def test_both_limits_are_named_where_both_are_in_the_way_and_what_fits_fits_both(
    empty: RunEnvironment, script: Path
) -> None:
    spent = read_budget(limited(empty, 0)).spent
    session = limited(empty, 3 * NODE_PRICE + 0.001, spent + 5 * NODE_PRICE)
    problems = refused(session, empty, job(script, 10))
    assert [each.path for each in problems] == ["budget.usd_per_month", LIMIT]
    assert all("`--max-minutes 180`" in each.do for each in problems)
    assert checked(session, empty, job(script, 3))()


def test_a_limit_of_a_team_holds_where_the_environment_has_none(empty: RunEnvironment, script: Path) -> None:
    (problem,) = refused(limited(empty, 2 * NODE_PRICE), empty, job(script, 10))
    assert problem.path == LIMIT
    assert checked(limited(empty, 2 * NODE_PRICE), empty, job(script, 10, team=None))() is None


def test_with_slurm_a_team_is_held_to_its_limit_too(empty: RunEnvironment, script: Path) -> None:
    session = limited(empty, 2 * NODE_PRICE, MUCH)
    slurm = Cloud(session.cloud.name, {**session.cloud.variables, "FLEETFORM_SCHEDULER": "slurm"})
    (problem,) = refused(dataclasses.replace(session, cloud=slurm), empty, job(script, 10))
    assert problem.path == LIMIT


def test_a_run_of_a_team_is_not_resumed_over_its_limit(empty: RunEnvironment) -> None:
    run_id = f"{TEAM}-20991122-100000-aaaaa"
    put_run(
        empty, run_id, NOW, [("FAILED", NOW)], nodes=1, instance_type="g5.xlarge", team=TEAM,
        scheduler="plain",
    )  # fmt: skip
    outputs = empty.outputs
    with pytest.raises(UserError, match=f"of the team {TEAM} in {NAME}"):
        resume.resume(limited(empty, NODE_PRICE, MUCH), outputs, run_id)


# ------------------------------------------------------------------------------------------------ holding


def test_of_two_submits_at_once_of_a_team_one_gets_what_is_left_of_its_limit(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "LASTS", 0.0)
    monkeypatch.setattr(reservation, "_POLL", 0.05)
    session, usd = limited(empty, 11 * NODE_PRICE, MUCH), 10 * NODE_PRICE
    entered, turned_away = list[str](), list[str]()
    together, done = threading.Barrier(3), threading.Barrier(3)

    def one(run_id: str, team: str | None) -> None:
        check = checked(session, empty, job(script, 10, team), run_id)
        together.wait()
        try:
            with reserving(session, empty.store, run_id, usd, check):
                entered.append(run_id)
                done.wait(60)
        except UserError:
            turned_away.append(run_id)
            done.wait(60)

    wanted: dict[str, str | None] = {
        f"{TEAM}-20991121-100000-bbbbb": TEAM, f"{TEAM}-20991122-100000-bbbbb": TEAM,
        "20991123-100000-bbbbb": None,
    }  # fmt: skip
    threads = [threading.Thread(target=one, args=each) for each in wanted.items()]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert len(turned_away) == 1 and turned_away[0].startswith(TEAM)
    assert "20991123-100000-bbbbb" in entered, "the other team has no such limit"
    assert read_holds(empty.store).by_run == {}


def test_what_is_held_counts_for_the_team_whose_run_it_is(empty: RunEnvironment) -> None:
    for run_id, usd in ((f"{TEAM}-20991122-100000-aaaaa", 7.0), ("20991122-100000-aaaaa", 5.0)):
        before = read_holds(empty.store)
        assert write_holds(empty.store, before, {**before.by_run, run_id: new_hold(usd)})
    found = of_team(read_budget(limited(empty, 20.0, MUCH)))
    assert (found.reserved, found.held, found.left) == (7.0, 7.0, 13.0)


def test_a_run_of_a_team_is_held_where_its_limit_is_the_only_one(
    empty: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = list[str]()
    whole = handover.hand_over

    def watched(*arguments: Any) -> Any:
        held.extend(read_holds(empty.store).by_run)
        return whole(*arguments)

    monkeypatch.setattr(submit, "hand_over", watched)
    done = submit.submit(limited(empty, 20 * NODE_PRICE), empty.outputs, job(script, 1))
    assert held == [done.run_id] and done.run_id.startswith(f"{TEAM}-") and done.warnings == ()
    wait_for(lambda: not read_run(empty.store, done.run_id).active, 120)
    assert read_run(empty.store, done.run_id).state == "SUCCEEDED"
    counted = of_team(read_budget(limited(empty, 20 * NODE_PRICE)))
    assert 0 < counted.spent < NODE_PRICE and counted.reserved == 0


# ---------------------------------------------------------------------------------------------- counting


def test_a_team_s_runs_count_on_whatever_machines_and_nothing_that_stands_does(empty: RunEnvironment) -> None:
    hour = datetime.timedelta(hours=1)
    put_run(empty, f"{TEAM}-20991120-100000-aaaaa", MONTH, [("SUCCEEDED", MONTH + hour)])
    usd = put_receipt(
        empty, f"{TEAM}-20991120-100000-aaaaa", MONTH, MONTH + hour,
        nodes=[{"rank": 0, "instance_id": empty.instances("node")[0]}],
    )  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)
    running = [("PROVISIONING", now - hour / 2), ("RUNNING", now - hour / 2)]
    put_run(empty, f"{TEAM}-20991121-100000-aaaaa", now - hour, running)
    put_run(empty, "20991122-100000-aaaaa", NOW, [])
    session = limited(empty, 50.0)
    speech, own = of_team(read_budget(session)), of_team(read_budget(session), "tests")
    assert speech.spent == pytest.approx(usd + NODE_PRICE, abs=0.05)
    assert speech.reserved == pytest.approx(3 * NODE_PRICE, abs=0.05)
    assert speech.left == pytest.approx(50.0 - usd - 4 * NODE_PRICE, abs=0.01)
    assert (own.limit, own.spent, own.left) == (None, 0.0, None)
    assert own.reserved == pytest.approx(4 * NODE_PRICE)


def test_a_run_that_goes_on_counts_with_no_more_than_it_asked_for(empty: RunEnvironment) -> None:
    last = MONTH - datetime.timedelta(hours=6)
    put_run(empty, f"{TEAM}-20991121-100000-aaaaa", last, [("PROVISIONING", last), ("RUNNING", last)])
    assert of_team(read_budget(limited(empty, 50.0))).spent <= 4 * NODE_PRICE


def test_each_team_s_figures_are_told_as_a_table_and_as_data(empty: RunEnvironment) -> None:
    put_run(empty, f"{TEAM}-20991122-100000-aaaaa", NOW, [])
    budget = read_budget(limited(empty, 50.0))
    kept = f"{4 * NODE_PRICE:.2f}"
    assert team_rows(budget) == [
        ("tests", "0.00", "0.00", "", ""),
        (TEAM, "0.00", kept, "50.00", f"{50 - 4 * NODE_PRICE:.2f}"),
    ]
    told = json.loads(json.dumps(budget.to_dict()))["teams"]
    assert [each["team"] for each in told] == ["tests", TEAM]
    assert told[1]["left"] == pytest.approx(50 - 4 * NODE_PRICE) and told[0]["left"] is None
    assert read_budget(empty.session).teams == (), "nobody shares it"


# ----------------------------------------------------------------------------------------------- the file


def with_tables(folder: Path, tables: str) -> Path:
    return write_folder(folder, vision=f"{environment_text()}\n{tables}")


def test_a_limit_of_a_team_builds_nothing(empty: RunEnvironment) -> None:
    declared = json.loads(limited(empty, 50.0).spec.declaration())
    assert declared["scheduler"]["teams"] == {TEAM: {"share": 1, "members": []}}


@pytest.mark.parametrize("usd", ["-1", "inf", '"100"'])
def test_a_limit_that_is_no_amount_is_refused(tmp_path: Path, usd: str) -> None:
    tables = f"[scheduler.teams.speech]\nusd_per_month = {usd}\n"
    errors, _ = check_directory(with_tables(tmp_path, tables))
    assert [each.path for each in errors] == [LIMIT]


def test_the_environment_s_own_team_has_no_limit_of_its_own(tmp_path: Path) -> None:
    errors, _ = check_directory(with_tables(tmp_path, "[scheduler.teams.vision]\nusd_per_month = 5\n"))
    assert [each.path for each in errors] == ["scheduler.teams.vision.usd_per_month"]
    assert "set `budget.usd_per_month`" in errors[0].do


@pytest.mark.parametrize(("usd", "warned"), [(5001, True), (5000, False)])
def test_a_limit_that_is_never_reached_is_warned_of(tmp_path: Path, usd: int, warned: bool) -> None:
    tables = f"[scheduler.teams.speech]\nusd_per_month = {usd}\n\n[budget]\nusd_per_month = 5000\n"
    _, warnings = check_directory(with_tables(tmp_path, tables))
    assert (LIMIT in {each.path for each in warnings}) is warned
