"""`fleetform run` on real Slurm in the embedded cloud: a whole environment, two teams, three nodes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import choose_cloud
from fleet.follow import read_logs
from fleet.job import JobSpec
from fleet.project import Project
from fleet.run_control import settle_all
from fleet.runs import outputs_safe, read_events, read_run
from fleet.submit import Submitted, submit
from sandbox import daemon
from sandbox.slurm_packages import is_installed
from tests.ledger_parts import runs_on
from tests.sandbox_helpers import wait_for
from tests.slurm_environment import SlurmEnvironment, build

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slurm,
    pytest.mark.torch,
    pytest.mark.skipif(not is_installed(), reason="Slurm's programs are not installed"),
]
TRAIN = """
import hashlib, os, socket
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(rank)
model = DistributedDataParallel(torch.nn.Linear(8, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(5):
    optimizer.zero_grad()
    model(torch.randn(16, 8)).square().mean().backward()
    optimizer.step()
digest = hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()
print(f"rank {rank} of {dist.get_world_size()} on {os.environ['SLURMD_NODENAME']}: {digest}", flush=True)
print(f"rank {rank} sees {socket.gethostname()}, GPU {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)
dist.destroy_process_group()
"""
WAIT = """
import os, pathlib, time
print("turn", os.environ["FLEETFORM_LAUNCH"], "on", os.environ["SLURMD_NODENAME"], flush=True)
while os.environ["FLEETFORM_LAUNCH"] == "0":
    time.sleep(0.2)
"""
PRY = """
import os, sys
from botocore.exceptions import ClientError
from botocore.session import Session

bucket, _, own = os.environ["FLEETFORM_CHECKPOINTS_URL"].removeprefix("s3://").partition("/")
session = Session()

def client(name):
    return session.create_client(name, region_name=os.environ["AWS_DEFAULT_REGION"])

def attempt(what, act):
    try:
        act()
        print(what, "done", flush=True)
    except ClientError as error:
        print(what, error.response["Error"]["Code"], flush=True)

print("role", client("sts").get_caller_identity()["Arn"], flush=True)
own, s3 = own.removesuffix("/checkpoints"), client("s3")
for whose, folder in (("own", own), ("other", "runs/" + sys.argv[1])):
    attempt(f"read {whose}", lambda: s3.get_object(Bucket=bucket, Key=f"{folder}/run.json"))
    attempt(f"list {whose}", lambda: s3.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/"))
    attempt(f"write {whose}", lambda: s3.put_object(Bucket=bucket, Key=f"{folder}/x", Body=b""))
attempt("key", lambda: client("secretsmanager").get_secret_value(SecretId="fleetform/whole/munge"))
attempt("machines", client("ec2").describe_instances)
"""
LOOP = """
import time
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from trainer.run import Run

run = Run(steps=40, checkpoint_every=1000, seed=1, log_every=1)
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
x = torch.randn(512, 8, generator=torch.Generator().manual_seed(2))
data = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=8, shuffle=True)
model, optimizer, data = run.setup(model, optimizer, data)
for inputs, targets in run.steps(data):
    run.backward(nn.functional.mse_loss(model(inputs), targets), terms=len(targets))
    run.step(optimizer)
    time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmEnvironment]:
    """Three nodes that stand, shared by the environment's own team `tests` and by `blue`."""
    home = tmp_path_factory.mktemp("slurm-home")
    daemon.start(home, scheduler="slurm")
    project = Project(root=home, home=home)
    try:
        yield build(
            choose_cloud(project, "sandbox"),
            project,
            "whole",
            {"gpu": {"nodes": 3, "max_nodes": 3, "purchase": "spot"}},
            {"blue": 3},
        )
    finally:
        daemon.stop(home)


def run(environment: SlurmEnvironment, folder: Path, program: str, **told: Any) -> Submitted:
    """Submit a script as `fleetform run` does."""
    script = folder / "train.py"
    script.write_text(program)
    job = JobSpec(environment=environment.name, script=script, **told)
    return submit(environment.session, environment.outputs, job)


def ended(environment: SlurmEnvironment, run_id: str, seconds: float = 240) -> str:
    """Wait for the run's final event and return it."""
    return wait_for(
        lambda: (
            None if read_run(environment.store, run_id).active else read_run(environment.store, run_id).state
        ),
        seconds,
    )


def log(environment: SlurmEnvironment, run_id: str) -> str:
    """Return what the run has printed on all of its nodes."""
    return "".join(piece.text for piece in read_logs(environment.store, run_id))


def test_a_job_trains_on_two_nodes_with_their_gpus_to_the_same_bits(
    environment: SlurmEnvironment, tmp_path: Path
) -> None:
    submitted = run(environment, tmp_path, TRAIN, nodes=2, checkpoints=True)
    assert ended(environment, submitted.run_id) == "SUCCEEDED", log(environment, submitted.run_id)
    printed = log(environment, submitted.run_id)
    ranks = re.findall(r"rank (\d) of 2 on (gpu-\d): ([0-9a-f]{64})", printed)
    assert sorted(rank for rank, _, _ in ranks) == ["0", "1"]
    assert len({node for _, node, _ in ranks}) == 2
    assert len({digest for _, _, digest in ranks}) == 1
    assert sorted(re.findall(r"rank \d sees \S+, GPU (\d+)", printed)) == ["0", "0"]
    assert outputs_safe(environment.store, read_run(environment.store, submitted.run_id)) == []
    receipt = json.loads(environment.store.get(submitted.run_id, "receipt.json") or b"{}")
    assert len(receipt["nodes"]) == 2
    states = [event["event"] for event in read_events(environment.store, submitted.run_id)]
    assert states[0] == "QUEUED" and states[-1] == "SUCCEEDED" and "RUNNING" in states


def test_a_job_on_a_machine_with_a_spot_notice_goes_on_elsewhere_at_the_step_it_was(
    environment: SlurmEnvironment, tmp_path: Path
) -> None:
    submitted = run(environment, tmp_path, LOOP, nodes=2, checkpoints=True)

    def steps() -> list[int]:
        rows = (environment.store.get(submitted.run_id, "metrics.jsonl") or b"").splitlines()
        return [int(json.loads(row)["step"]) for row in rows]

    wait_for(lambda: len(steps()) > 5, 120)
    states = environment.states()
    taken = next(name for name, state in states.items() if state.startswith("alloc"))
    machines = environment.machines("node")
    daemon.interrupt(environment.session.project.home, machines[taken], 120)
    wait_for(lambda: environment.states()[taken].startswith("dr"), 60)
    reason = environment.on_head(f"sinfo --noheader --nodes={taken} --format=%E")
    assert reason.startswith("spot: EC2 takes the machine at 20"), reason
    assert ended(environment, submitted.run_id) == "SUCCEEDED", log(environment, submitted.run_id)
    assert steps() == list(range(1, 41)), "every step once: none is lost, none is done again"
    receipt = json.loads(environment.store.get(submitted.run_id, "receipt.json") or b"{}")
    assert taken not in {each["node"] for each in receipt["nodes"]}
    settle_all(environment.store, environment.session.ledger)
    ran = [
        machine for machine in machines.values() if submitted.run_id in runs_on(environment.session, machine)
    ]
    assert ran == list(machines.values()), "the one that was taken is named, too"
    assert "REQUEUED" in [event["event"] for event in read_events(environment.store, submitted.run_id)]


def test_a_teams_own_code_is_refused_another_teams_run_and_the_clusters_key(
    environment: SlurmEnvironment, tmp_path: Path
) -> None:
    ours = run(environment, tmp_path, "print('kept')")
    assert ended(environment, ours.run_id) == "SUCCEEDED", log(environment, ours.run_id)
    theirs = run(environment, tmp_path, PRY, team="blue", arguments=(ours.run_id,))
    assert ended(environment, theirs.run_id) == "SUCCEEDED", log(environment, theirs.run_id)
    said = log(environment, theirs.run_id)
    assert f":assumed-role/whole-run-blue-us-east-1/{theirs.run_id}" in said
    found = dict(
        re.findall(r"^(?:\[[^\]]*\] )?(\w+(?: \w+)?) (done|\w*(?:Denied|Unauthorized)\w*)$", said, re.M)
    )
    assert found == {
        **dict.fromkeys(("read own", "list own", "write own"), "done"),
        **dict.fromkeys(("read other", "list other", "write other"), "AccessDenied"),
        "key": "AccessDeniedException",
        "machines": "UnauthorizedOperation",
    }


def test_a_job_whose_node_and_head_lose_their_power_runs_again(
    environment: SlurmEnvironment, tmp_path: Path
) -> None:
    submitted = run(environment, tmp_path, WAIT, team="blue")
    found = wait_for(lambda: re.search(r"turn 0 on (gpu-\d)", log(environment, submitted.run_id)), 120)
    heads = environment.machines("head")
    environment.kill("head")
    environment.kill(found[1])
    assert ended(environment, submitted.run_id) == "SUCCEEDED", log(environment, submitted.run_id)
    assert re.search(r"turn [1-9]\d* on gpu-\d", log(environment, submitted.run_id))
    assert "REQUEUED" in [event["event"] for event in read_events(environment.store, submitted.run_id)]
    assert set(environment.machines("head").values()).isdisjoint(heads.values())
