"""What a job tells the queue is checked at once, in the words of the option that is wrong."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from fleet.job import JobSpec, LaunchRequest, build_request, declared_site
from fleet.job_forms import parse_array, parse_begin, task_ids
from fleet.job_queueing import (
    PLAIN_SITE,
    Site,
    ignored_settings,
    site_of,
)
from fleet.submit import new_run_id
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.problems import UserError
from stacks.scheduler_spec import SchedulerSpec
from tests.run_environment import make_specs

SLURM = Site(scheduler="slurm", teams=("vision", "blue"), default_team="vision", longest_minutes=10080)
FLEETS = {
    "gpu": FleetOutputs(
        group="g", nodes=2, max_nodes=8, instance_type="g5.12xlarge", gpus_per_node=4, elastic=6
    )
}
NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n")
    return path


def request(site: Site = SLURM, **settings: object) -> LaunchRequest:
    job = JobSpec.model_validate({"environment": "vision", "recipe": "digits", **settings})
    return build_request(job, FLEETS, site=site)


def problems_of(site: Site = SLURM, **settings: object) -> dict[str, str]:
    """Return what is wrong with the job, and what to do, by option."""
    with pytest.raises(UserError) as caught:
        request(site, **settings)
    return {problem.path: f"{problem.what} | {problem.do}" for problem in caught.value.problems}


def test_run_json_carries_what_the_queue_needs() -> None:
    told = request(
        team="blue", priority="high", after=("20261122-170203-abcde",), array="0-9%4", requeues=1, nodes=8
    ).to_dict()
    asked = {
        "scheduler": "slurm", "team": "blue", "priority": "high", "begin": "", "after_any": False,
        "after": ("20261122-170203-abcde",), "array": {"first": 0, "last": 9, "at_once": 4}, "requeues": 1,
        "gpus_per_node": 4, "gpus_on_node": 4, "container": "", "nodes": 8, "procs_per_node": 4,
    }  # fmt: skip
    assert {name: told[name] for name in asked} == asked
    assert not {"queueing", "packages", "code_root"} & set(told)


def test_without_a_team_the_environment_s_own_is_charged() -> None:
    assert request().queueing.team == "vision"
    plain = request(PLAIN_SITE).queueing
    assert (plain.scheduler, plain.team) == ("plain", "")


def test_every_mistake_about_the_queue_is_named_at_once() -> None:
    found = problems_of(
        team="bleu", priority="hihg", begin="tomorrow", array="9-0", requeues=99, gpus_per_node=5,
        container="a b; rm -rf /", after_any=True, fsx_gib=1200, max_minutes=20000,
    )  # fmt: skip
    assert set(found) == {
        "--team", "--priority", "--begin", "--array", "--requeues", "--gpus-per-node", "--container",
        "--after-any", "--fsx-gib", "--max-minutes",
    }  # fmt: skip
    assert "did you mean 'blue'?" in found["--team"]
    assert "did you mean 'high'?" in found["--priority"]
    assert (
        "5 GPUs of each node are asked for, and g5.12xlarge has 4 | choose 1 to 4" in found["--gpus-per-node"]
    )
    assert "choose 1 to 10080" in found["--max-minutes"]


def test_under_slurm_a_run_may_be_as_large_as_its_fleet_can_grow_and_no_larger(script: Path) -> None:
    assert request(nodes=8).nodes == 8
    told = problems_of(nodes=9)["--nodes"]
    assert told.startswith(
        "9 nodes are asked for, and the fleet gpu can have 8 | ask for at most 8, or raise"
    )
    assert "`max_nodes`" in told
    assert "has 2" in problems_of(PLAIN_SITE, nodes=3)["--nodes"]


def test_the_plain_engine_refuses_what_it_must_not_leave_out() -> None:
    found = problems_of(
        PLAIN_SITE, array="0-3", after=("r",), begin="+2h", container="nvcr.io#nvidia/pytorch"
    )
    assert set(found) == {"--array", "--after", "--begin", "--container"}
    assert "fleetform sandbox start --scheduler slurm" in found["--array"]


def test_the_plain_engine_warns_of_what_has_no_effect() -> None:
    job = JobSpec(environment="vision", team="blue", priority="low", requeues=0, gpus_per_node=1)
    said = ignored_settings(job, PLAIN_SITE)
    assert [each.split()[0] for each in said] == ["--team", "--priority", "--requeues", "--gpus-per-node"]
    assert ignored_settings(job, SLURM) == []
    assert ignored_settings(JobSpec(environment="vision"), PLAIN_SITE) == []


def test_a_run_of_some_gpus_has_as_many_processes() -> None:
    made = request(gpus_per_node=2)
    assert (made.procs_per_node, made.queueing.gpus_per_node, made.queueing.gpus_on_node) == (2, 2, 4)


@pytest.mark.parametrize(
    ("image", "fine"),
    [
        ("nvcr.io#nvidia/pytorch:26.01-py3", True),
        ("ubuntu", True),
        ("ubuntu latest", False),
        ("$(id)", False),
        ("--mount=/:/host", False),
        ("a\nb", False),
    ],
)
def test_an_image_is_a_name_and_nothing_else(image: str, fine: bool) -> None:
    site = Site(scheduler="slurm", containers=True)
    if fine:
        assert request(site, container=image).queueing.container == image
    else:
        assert "is no image" in problems_of(site, container=image)["--container"]
    assert "no enroot and pyxis" in problems_of(container="ubuntu")["--container"]


@pytest.mark.parametrize(
    ("text", "array"),
    [
        ("0-9", {"first": 0, "last": 9, "at_once": 0}),
        ("5-5%1", {"first": 5, "last": 5, "at_once": 1}),
        ("9001-10000", {"first": 9001, "last": 10000, "at_once": 0}),
        ("1-1000%16", {"first": 1, "last": 1000, "at_once": 16}),
    ],
)
def test_an_array_is_a_range_and_how_many_at_once(text: str, array: dict[str, int]) -> None:
    assert parse_array(text) == array


@pytest.mark.parametrize(
    "text", ["", "5", "9-0", "0-9%0", "0-1000", "9999-10001", "0-9;id", "-1-5", "0-9%", "a-b", "0 - 9"]
)
def test_anything_else_is_no_array(text: str) -> None:
    with pytest.raises(ValueError, match=": "):
        parse_array(text)


def test_the_tasks_of_an_array_are_runs_with_ids_of_their_own() -> None:
    assert task_ids("r", parse_array("3-5%2")) == {3: "r-a3", 4: "r-a4", 5: "r-a5"}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("+90m", "2026-11-22T13:30:00.000Z"),
        ("+2h", "2026-11-22T14:00:00.000Z"),
        ("+1d", "2026-11-23T12:00:00.000Z"),
        ("2026-11-23T06:00+01:00", "2026-11-23T05:00:00.000Z"),
        ("2026-11-23T06:00Z", "2026-11-23T06:00:00.000Z"),
    ],
)
def test_a_begin_is_a_time_or_a_span(text: str, moment: str) -> None:
    assert parse_begin(text, NOW) == moment


def test_a_time_without_a_zone_is_this_computer_s() -> None:
    local = datetime.datetime(2026, 11, 23, 6, 0).astimezone(datetime.UTC)
    assert parse_begin("2026-11-23T06:00", NOW) == local.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("now+2hours", "is no time"),
        ("$(date)", "is no time"),
        ("2026-11-22T11:59Z", "is over"),
        ("2028-01-01T00:00Z", "more than a year away"),
        ("+99999d", "more than a year away"),
    ],
)
def test_a_begin_that_can_t_be_is_refused(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_begin(text, NOW)


def test_the_cloud_s_word_on_the_engine_counts_more_than_the_file_s() -> None:
    outputs = EnvironmentOutputs.model_validate(
        {
            "environment": "vision", "region": "r", "vpc_id": "v", "subnet_ids": (), "artifact_bucket": "a",
            "dataset_bucket": "d", "ledger_bucket": "l", "kms_key_arn": "", "run_document": "vision-run-job",
            "node_document": "n", "head_group": "h", "fleets": {}, "scheduler": "slurm",
            "default_team": "vision", "teams": ("vision", "blue"), "longest_minutes": 600,
        }
    )  # fmt: skip
    plain = site_of(outputs, {"FLEETFORM_SCHEDULER": "plain"})
    assert (plain.scheduler, plain.teams, plain.longest_minutes) == ("plain", ("vision", "blue"), 2820)
    found = site_of(outputs, {})
    assert (found.scheduler, found.teams, found.longest_minutes) == ("slurm", ("vision", "blue"), 600)


def test_a_job_can_be_looked_at_with_the_queue_that_its_file_declares() -> None:
    _, spec = make_specs("vision", nodes=2)
    declared = declared_site(spec, {})
    assert (declared.scheduler, declared.default_team) == ("slurm", "tests")
    plain = declared_site(spec, {"FLEETFORM_SCHEDULER": "plain"})
    assert (plain.scheduler, plain.teams) == ("plain", ("tests",))
    queueless = spec.model_copy(update={"scheduler": SchedulerSpec(kind="plain")})
    assert declared_site(queueless, {}) == PLAIN_SITE


def test_a_run_of_a_team_that_shares_an_emulated_environment_is_that_team_s_without_slurm_too() -> None:
    shared = Site(teams=("vision", "blue"), default_team="vision")
    assert [request(shared, team=each).queueing.team for each in ("blue", "vision", None)] == ["blue", "", ""]
    assert "did you mean 'blue'?" in problems_of(shared, team="bleu")["--team"]
    assert ignored_settings(JobSpec(environment="vision", team="blue"), shared) == []


def test_the_runs_of_a_further_team_begin_with_its_name() -> None:
    assert new_run_id("blue").startswith("blue-20")
    assert new_run_id().startswith("20")
