"""What a member of a team that shares an environment does with fleetform, with the team's rights alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.budget import read_budget
from fleet.cloud import Cloud
from fleet.environment import read_outputs
from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.lost import is_lost
from fleet.project import Project
from fleet.queue import look_at_queue
from fleet.queue_acts import act_on_run
from fleet.reservation import reserving
from fleet.run_control import settle_all
from fleet.run_store import open_runs
from fleet.runs import read_run
from fleet.session import Session
from fleet.submit import submit
from node.layout import utc_now
from stacks import naming
from stacks.account import load_account
from stacks.environment import load_environment
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.problems import UserError
from tests.sandbox_helpers import api
from tests.spec_files import environment_text, write_folder
from tests.test_team_isolation import ACCOUNT, ACCOUNT_TEXT, NAME, REGION, RUNS, TABLES, Shared
from tests.test_team_isolation import shared as shared  # its environment

pytestmark = pytest.mark.sandbox
FLEET = FleetOutputs(group="g", nodes=1, max_nodes=1, instance_type="g5.xlarge", gpus_per_node=1)


@pytest.fixture
def blue(shared: Shared, tmp_path: Path) -> Iterator[Session]:
    """The session of a member of blue, which has no run yet: the shared one comes back after."""
    text = environment_text(NAME, "10.93.0.0/16") + TABLES.format(account=ACCOUNT)
    folder = write_folder(tmp_path, ACCOUNT_TEXT, **{NAME: text})
    member = shared.members["blue"]
    cloud = Cloud(member.name, {**member.variables, "FLEETFORM_SCHEDULER": "slurm"})
    project = Project(root=tmp_path, home=tmp_path)
    outputs = EnvironmentOutputs(
        environment=NAME, region=REGION, vpc_id="", subnet_ids=(), artifact_bucket=shared.bucket,
        dataset_bucket="", ledger_bucket="", kms_key_arn="", run_document=naming.run_document(NAME),
        node_document="", head_group="", scheduler="slurm", default_team="vision",
        teams=("vision", "blue", "green"), fleets={"gpu": FLEET},
    )  # fmt: skip
    api(shared.cloud, "ssm").put_parameter(
        Name=naming.outputs_parameter(NAME), Value=outputs.to_json(), Type="String", Overwrite=True
    )
    own = {"Bucket": shared.bucket, "Key": f"runs/{RUNS['blue']}/run.json"}
    s3 = api(shared.cloud, "s3")
    s3.delete_object(**own)
    yield Session(project, cloud, load_account(folder), load_environment(folder / f"{NAME}.toml"))
    s3.put_object(**own, Body=b"{}")


def test_a_member_of_a_team_submits_follows_acts_and_lists_with_the_team_s_rights_alone(
    shared: Shared, blue: Session, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('hello')\n")
    outputs = read_outputs(blue)
    s3 = api(shared.cloud, "s3")
    queue = json.dumps({"time": utc_now(), "jobs": []}).encode()
    s3.put_object(Bucket=shared.bucket, Key="cluster/queue.json", Body=queue)
    job = JobSpec(environment=NAME, script=script, team="blue")
    over = threading.Event()

    def clerk() -> None:
        while not over.wait(0.05):
            found = s3.list_objects_v2(Bucket=shared.bucket, Prefix="runs/blue-").get("Contents", [])
            names = {item["Key"] for item in found}
            for name in (each for each in names if each.endswith("/run.json")):
                events = name.replace("run.json", "events.jsonl")
                if events not in names:
                    line = {"time": utc_now(), "event": "QUEUED", "detail": {}}
                    s3.put_object(Bucket=shared.bucket, Key=events, Body=json.dumps(line).encode() + b"\n")

    thread = threading.Thread(target=clerk)
    thread.start()
    try:
        done = submit(blue, outputs, job)
    finally:
        over.set()
        thread.join()
    assert done.run_id.startswith("blue-") and done.queued
    store = open_runs(blue, "blue")
    run = read_run(store, done.run_id)
    assert (run.state, run.team) == ("QUEUED", "blue")
    assert not is_lost(store, run)
    assert store.get_json(done.run_id, "receipt.json") is None
    with pytest.raises(ActError, match="this head node is still starting"):  # it has nothing that starts
        act_on_run(blue, done.run_id, "hold")
    assert [each.run_id for each in settle_all(store, blue.ledger)] == [done.run_id]
    assert look_at_queue(blue).jobs == ()


def test_a_member_is_held_to_the_team_s_limit_with_the_team_s_rights_alone(
    blue: Session, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text("print('hello')\n")
    job = JobSpec(environment=NAME, script=script, team="blue", max_minutes=60)
    with pytest.raises(UserError, match=f"of the 0.5 USD of the team blue in {NAME} for"):
        submit(with_limit(blue, 0.5), read_outputs(blue), job)
    run_id = "blue-20991122-100000-aaaaa"
    with reserving(with_limit(blue, 50), open_runs(blue), run_id, 7.0, None):
        (found,) = read_budget(with_limit(blue, 50), team="blue").teams
    assert (found.team, found.limit, found.held) == ("blue", 50, 7.0), "of other teams nothing is told"


def with_limit(blue: Session, usd: float) -> Session:
    """Return the session of a file that limits the team blue."""
    scheduler = blue.spec.scheduler
    teams = {**scheduler.teams, "blue": scheduler.teams["blue"].model_copy(update={"usd_per_month": usd})}
    limited = blue.spec.model_copy(update={"scheduler": scheduler.model_copy(update={"teams": teams})})
    return replace(blue, spec=limited)
