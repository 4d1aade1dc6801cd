"""The verbs about runs as a user types them, in a project of their own against the embedded cloud."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.declare import declare
from fleet.project import Project
from scripts import cli, speedup
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def shop(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, RunEnvironment]]:
    root = tmp_path_factory.mktemp("project")
    declare(
        root, "shop", team="tests", owner="tests@example.com", region=REGION,
        instance_type=INSTANCE_TYPE, nodes=1, organization="run-tests",
    )  # fmt: skip
    (root / "ok.py").write_text("import os\nprint('rank', os.environ['RANK'])\n")
    (root / "hang.py").write_text("import time\nprint('hanging', flush=True)\ntime.sleep(600)\n")
    (root / "bad.py").write_text("raise ValueError('no such column: price')\n")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "shop", nodes=1)
    yield root, environment
    environment.remove()


@pytest.fixture(autouse=True)
def _in_the_project(
    shop: tuple[Path, RunEnvironment], sandbox_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop[0])
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")


def test_a_dry_run_prints_the_script_that_runs_to_the_letter(
    shop: tuple[Path, RunEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "shop", "--procs-per-node", "1", "--", "ok.py", "--name", "it's"]
    assert cli.main([*arguments[:2], "--dry-run", *arguments[2:]]) == 0
    printed = capsys.readouterr().out
    assert cli.main(arguments) == 0
    run_id = capsys.readouterr().out.strip()
    assert (shop[1].store.get(run_id, "launch.sh") or b"").decode() == printed
    assert cli.main(["cancel", "shop", run_id]) == 0


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--recipe", "digits", "--nodes", "60"], "60 nodes are asked for, and the fleet gpu has 1"),
        (["--", "nope.py"], "the script nope.py does not exist"),
        (["--recipe", "digit"], "did you mean 'digits'?"),
        (["--recipe", "digits", "sampels=1"], "did you mean samples?"),
        (["--recipe", "digits", "--max-minutes", "0"], "a limit of 0 minutes"),
    ],
)
def test_a_mistake_ends_with_exit_code_2_and_says_what_to_do(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for dry in ([], ["--dry-run"]):
        assert cli.main(["run", "shop", *dry, *arguments]) == 2
        assert what in capsys.readouterr().err


def test_an_environment_whose_fleet_is_not_up_is_named(
    shop: tuple[Path, RunEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    declare(
        shop[0],
        "later",
        team="tests",
        owner="t@example.com",
        region=REGION,
        instance_type=INSTANCE_TYPE,
        nodes=1,
    )
    try:
        assert cli.main(["run", "later", "--recipe", "digits"]) == 2
    finally:
        (shop[0] / "environments" / "later.toml").unlink()
    assert "fleetform up later" in capsys.readouterr().err


@pytest.mark.torch
def test_following_a_run_that_fails_ends_with_exit_code_1_and_its_cause(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["run", "shop", "--follow", "--procs-per-node", "1", "--", "bad.py"]) == 1
    said = capsys.readouterr()
    assert "FAILED: rank 0 (node 0): ValueError: no such column: price" in said.err


@pytest.mark.torch
def test_a_run_can_be_followed_listed_shown_fetched_and_cancelled(
    shop: tuple[Path, RunEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "shop", "--follow", "--procs-per-node", "1", "--", "ok.py"]) == 0
    assert "rank 0" in capsys.readouterr().out.splitlines()
    assert cli.main(["runs", "shop", "--json"]) == 0
    newest = json.loads(capsys.readouterr().out)[0]
    assert (newest["state"], newest["program"], newest["active"]) == ("SUCCEEDED", "ok.py", False)
    run_id = newest["run_id"]

    assert cli.main(["runs", "shop"]) == 0
    assert run_id in capsys.readouterr().out
    assert cli.main(["status", "shop", run_id]) == 0
    assert "started to ended" in capsys.readouterr().out
    assert cli.main(["logs", "shop", run_id, "--node", "0"]) == 0
    assert "rank 0" in capsys.readouterr().out.splitlines()
    assert cli.main(["logs", "shop", run_id, "--node", "1"]) == 2
    assert "has no node 1" in capsys.readouterr().err
    assert cli.main(["fetch", "shop", run_id]) == 0
    assert "verified" in capsys.readouterr().out
    assert "rank 0" in (shop[0] / "runs" / run_id / "logs" / "node-0.log").read_text()

    assert cli.main(["run", "shop", "--procs-per-node", "1", "--", "hang.py"]) == 0
    run_id = capsys.readouterr().out.strip()
    deadline = time.monotonic() + 60
    while b"hanging" not in (shop[1].store.get(run_id, "logs/node-0.log") or b""):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert cli.main(["cancel", "shop", run_id]) == 0
    assert "CANCELLED: cancelled by" in capsys.readouterr().out
    assert cli.main(["status", "shop", "2026"]) == 2
    events = [(entry["event"], entry["outcome"]) for entry in shop[1].session.ledger.entries()]
    assert events[-3:] == [("run.cancel", "started"), ("run.cancel", "succeeded"), ("run.ended", "recorded")]
    assert ("run.fetch", "succeeded") in events


def test_a_job_is_tried_on_one_and_two_processes_and_the_table_is_printed(
    shop: tuple[Path, RunEnvironment], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fleet.submit.render_launch_script", lambda request: f"sleep {2 / request.procs_per_node}\n"
    )
    trials = ["speedup", "shop", "--procs", "1,2", "--procs-per-node", "2"]
    code = cli.main([*trials, "--json", "--", "ok.py"])
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert code == (0 if found["claimed"] else 1)
    assert [(row["processes"], row["nodes"], len(row["runs"])) for row in found["points"]] == [
        (1, 1, 2), (2, 1, 2),
    ]  # fmt: skip
    assert "trial 4 of 4: 1 process" in said.err
    one, two = found["points"]
    # Both take a whole node, one of them for twice the time.
    assert one["usd"] / two["usd"] == pytest.approx(one["seconds"] / two["seconds"])
    stored = json.loads(
        shop[1]
        .store.s3.get_object(
            Bucket=shop[1].store.bucket, Key=found["kept"].removeprefix(f"s3://{shop[1].store.bucket}/")
        )["Body"]
        .read()
    )
    assert (stored["instance_type"], stored["measure"]) == (INSTANCE_TYPE, "run")
    assert cli.main([*trials[:3], "1,3", "--procs-per-node", "1", "--", "ok.py"]) == 2
    assert "3 nodes are asked for, and the fleet gpu has 1" in capsys.readouterr().err
    speedup._print(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "processes", "nodes", "run", "samples/s", "speed-up", "efficiency", "time", "cut", "a", "doubling",
        "gives", "run", "costs",
    ]  # fmt: skip
    assert f"differed from itself by up to {found['noise_percent']:.1f}%" in "\n".join(lines)


def test_a_preempted_run_says_how_to_go_on_and_goes_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = 'x="$FLEETFORM_RUN_DIR/x"\nif [ -e "$x" ]; then echo second; exit 0; fi\ntouch "$x"\nexit 75\n'
    monkeypatch.setattr("fleet.submit.render_launch_script", lambda request: once)
    assert cli.main(["run", "shop", "--follow", "--procs-per-node", "1", "--", "ok.py"]) == 1
    told = capsys.readouterr().err
    (hint,) = (line for line in told.splitlines() if "go on with" in line)
    arguments = hint.partition("fleetform ")[2].split()
    assert arguments[:3] == ["run", "shop", "--resume"]
    assert cli.main([*arguments, "--", "ok.py"]) == 2
    assert "a run is resumed as it was submitted" in capsys.readouterr().err
    assert cli.main([*arguments, "--follow"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == ["second"]
    assert "in 2 attempts at list price" in said.err
    assert cli.main(arguments) == 2
    assert "has succeeded" in capsys.readouterr().err
