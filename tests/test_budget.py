"""An environment's budget: no run starts that might exceed it, and the refusal says what would fit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet import resume, submit
from fleet.budget import Budget, read_budget
from fleet.cloud import Cloud
from fleet.job import JobSpec, build_request
from fleet.limits import require_within
from fleet.project import Project
from fleet.run_store import RunStore
from fleet.runs import read_run
from fleet.session import Session
from fleet.setting_changes import setting_changes
from stacks.guardrails import check_directory
from stacks.outputs import FleetOutputs
from stacks.problems import UserError
from stacks.scheduler_spec import SchedulerSpec
from tests.purse import NODE_PRICE, NOW, forget_runs, put_run, with_budget
from tests.run_environment import INSTANCE_TYPE, RunEnvironment, build
from tests.sandbox_helpers import wait_for
from tests.spec_files import environment_text, write_folder

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def purse(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("budget")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "wallet", nodes=1)
    yield environment
    environment.remove()


@pytest.fixture
def empty(purse: RunEnvironment) -> Iterator[RunEnvironment]:
    """The environment without any run."""
    yield purse
    forget_runs(purse)


# ----------------------------------------------------------------------------------------------- holding


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n")
    return path


def refusal(session: Session, purse: RunEnvironment, job: JobSpec) -> str:
    with pytest.raises(UserError) as caught:
        submit.submit(session, purse.outputs, job)
    (problem,) = caught.value.problems
    assert problem.path == "budget.usd_per_month"
    return f"{problem.what}\n{problem.do}"


def test_a_run_that_might_exceed_the_budget_is_refused_on_record_and_leaves_nothing(
    empty: RunEnvironment, script: Path
) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [])
    before = empty.store.keys("")
    job = JobSpec(environment="wallet", script=script, max_minutes=600)
    told = refusal(with_budget(empty, 4 * NODE_PRICE + 3), empty, job)
    asked = f"it may cost up to {10 * NODE_PRICE:.2f} USD (1 node for 600 minutes at {NODE_PRICE:.2f} USD"
    assert told.startswith(asked)
    assert f"{4 * NODE_PRICE:.2f} USD kept for active runs" in told
    assert empty.store.keys("") == before
    last = empty.session.ledger.entries()[-1]
    assert (last["event"], last["outcome"]) == ("run.submit", "refused")
    assert last["details"]["problems"] == [told.partition("\n")[0]]


def test_what_the_refusal_says_would_fit_fits(empty: RunEnvironment, script: Path) -> None:
    job = JobSpec(environment="wallet", script=script, nodes=4, max_minutes=600)
    fleets = {
        "gpu": empty.outputs.fleets["gpu"].model_copy(update={"nodes": 4, "max_nodes": 4}),
        "cheap": FleetOutputs(
            group="g",
            nodes=4,
            max_nodes=4,
            instance_type="g4dn.xlarge",
            gpus_per_node=1,
            purchase="on_demand",
        ),
        "dear": FleetOutputs(
            group="g",
            nodes=4,
            max_nodes=4,
            instance_type="p4d.24xlarge",
            gpus_per_node=8,
            purchase="on_demand",
        ),
    }
    outputs = empty.outputs.model_copy(update={"fleets": fleets})
    session = with_budget(empty, 25.0)

    def held(**changed: Any) -> Budget | None:
        asked = job.model_copy(update={"fleet": "gpu", **changed})
        return require_within(session, build_request(asked, fleets), outputs)

    with pytest.raises(UserError) as caught:
        held()
    options = {
        words[0].removeprefix("--").replace("-", "_"): words[1]
        for words in (each.split() for each in caught.value.problems[0].do.split("`")[1::2])
    }
    assert sorted(options) == ["fleet", "max_minutes", "nodes"]
    assert options["fleet"] == "cheap"
    for name, value in options.items():
        assert held(**{name: value if name == "fleet" else int(value)})
    with pytest.raises(UserError):
        held(max_minutes=int(options["max_minutes"]) + 2)
    with pytest.raises(UserError):
        held(nodes=int(options["nodes"]) + 1)


def test_every_task_of_an_array_is_asked_for(empty: RunEnvironment, script: Path) -> None:
    request = build_request(
        JobSpec(environment="wallet", script=script, max_minutes=60), empty.outputs.fleets
    )
    tasks = dataclasses.replace(
        request, queueing=dataclasses.replace(request.queueing, array={"first": 0, "last": 9, "at_once": 1})
    )
    session = with_budget(empty, 5 * NODE_PRICE)
    assert require_within(session, request, empty.outputs)
    with pytest.raises(UserError, match="10 tasks of 1 node for 60 minutes"):
        require_within(session, tasks, empty.outputs)


def test_a_run_within_the_budget_starts(empty: RunEnvironment, script: Path) -> None:
    job = JobSpec(environment="wallet", script=script, max_minutes=30)
    submitted = submit.submit(with_budget(empty, 10.0), empty.outputs, job)
    assert submitted.run_id in empty.store.run_ids()
    wait_for(lambda: not read_run(empty.store, submitted.run_id).active, 120)


def test_a_run_that_somebody_lets_go_over_the_budget_starts_and_their_name_is_on_record(
    empty: RunEnvironment, script: Path
) -> None:
    job = JobSpec(environment="wallet", script=script, max_minutes=600)
    submitted = submit.submit(with_budget(empty, 1.0), empty.outputs, job, approved_by="Kim")
    started = [each for each in empty.session.ledger.entries() if each["event"] == "run.submit"][-2]
    assert (started["outcome"], started["details"]["approved_by"]) == ("started", "Kim")
    wait_for(lambda: not read_run(empty.store, submitted.run_id).active, 120)


def test_a_run_is_not_resumed_over_the_budget_and_stays_as_it_is(empty: RunEnvironment) -> None:
    put_run(empty, "20991122-100000-aaaaa", NOW, [("FAILED", NOW)], nodes=1, instance_type=INSTANCE_TYPE)
    before = empty.store.get("20991122-100000-aaaaa", "run.json")
    with pytest.raises(UserError, match="is left of the 1 USD of wallet"):
        resume.resume(with_budget(empty, 1.0), empty.outputs, "20991122-100000-aaaaa")
    assert empty.store.get("20991122-100000-aaaaa", "run.json") == before


def test_what_has_no_price_is_not_run_on_a_budget(empty: RunEnvironment, script: Path) -> None:
    request = build_request(JobSpec(environment="wallet", script=script), empty.outputs.fleets)
    unknown = dataclasses.replace(request, price_usd_per_hour=None)
    with pytest.raises(UserError, match="no price"):
        require_within(with_budget(empty, 1000.0), unknown, empty.outputs)


def test_without_a_limit_nothing_is_asked_and_nothing_refused(empty: RunEnvironment, script: Path) -> None:
    request = build_request(JobSpec(environment="wallet", script=script), empty.outputs.fleets)
    assert require_within(empty.session, request, empty.outputs) is None
    assert read_budget(empty.session).left is None


class MemberOfSpeech:
    """S3 as a member of the team `speech` has it, who may list that team's runs alone."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, **request: Any) -> Any:
        if not request["Prefix"].startswith("runs/speech-"):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectsV2")
        return self._s3.get_paginator("list_objects_v2").paginate(**request)


def test_a_member_of_a_team_that_shares_the_environment_is_held_to_what_they_see(
    empty: RunEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("20991122-100000-aaaaa", "speech-20991122-100000-bbbbb"):
        put_run(empty, run_id, NOW, [])
    shared = SchedulerSpec.model_validate({"teams": {"speech": {}}})
    spec = with_budget(empty, 50.0).spec.model_copy(update={"scheduler": shared})
    session = dataclasses.replace(empty.session, spec=spec)
    monkeypatch.setattr(RunStore, "s3", MemberOfSpeech(empty.session.client("s3")))
    budget = read_budget(session, team="speech")
    assert list(budget.reservations) == ["speech-20991122-100000-bbbbb"]
    assert len(budget.notes) == 1 and budget.notes[0].startswith("runs of other teams")
    with pytest.raises(UserError, match="may not read the runs of all teams") as caught:
        read_budget(session, team="tests")
    assert caught.value.problems[0].do == "ask for your own team's (--team speech)"


# ----------------------------------------------------------------------------------------------- the file


def test_changing_the_budget_leaves_nothing_to_be_built(purse: RunEnvironment) -> None:
    declared = json.loads(purse.session.spec.declaration())
    assert "budget" not in declared
    assert setting_changes(declared, with_budget(purse, 7.0).spec) == []


@pytest.mark.parametrize(("usd", "warned"), [("1500", True), ("1900.5", False), ("0", False)])
def test_a_budget_that_standing_alone_uses_up_is_warned_of(tmp_path: Path, usd: str, warned: bool) -> None:
    text = environment_text() + f"\n[budget]\nusd_per_month = {usd}\n"
    _, warnings = check_directory(write_folder(tmp_path, vision=text))
    assert ("budget.usd_per_month" in {each.path for each in warnings}) is warned


@pytest.mark.parametrize("usd", ["-1", "inf", "nan", '"100"'])
def test_a_budget_that_is_no_amount_is_refused(tmp_path: Path, usd: str) -> None:
    text = environment_text() + f"\n[budget]\nusd_per_month = {usd}\n"
    errors, _ = check_directory(write_folder(tmp_path, vision=text))
    assert [each.path for each in errors] == ["budget.usd_per_month"]
