"""What runs get in place of their machine's metadata: a role that is renewed, by a token, and no more."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.session import Session

from node import service as node_service
from node.agent.metadata import Metadata
from node.cluster import machine as machines
from node.cluster.facts import ClusterFacts, TeamFacts
from node.cluster.machine import Machine
from node.health import prolog
from node.metadata import rule, server, tokens
from node.metadata.borrow import await_role, borrow
from node.metadata.roles import SECONDS, Lender, RefusedError, Teams
from node.store import Bucket
from tests.cluster_facts import cluster_facts
from tests.metadata_service import MetadataService, metadata_service

__all__ = ["metadata_service"]

RUN, BLUES = "20261122-120000-abcde", "blue-20261122-120000-abcde"
ME = os.getuid()
AWAY = EndpointConnectionError(endpoint_url="https://sts.us-east-1.amazonaws.com")


class Sts:
    """An STS that counts, and may be away."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.away: Exception | None = None
        self.seconds = SECONDS

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws-cn:sts::123456789012:assumed-role/lab-node/i-1"}

    def assume_role(self, **asked: Any) -> dict[str, Any]:
        if self.away:
            raise self.away
        self.asked.append(asked)
        number = len(self.asked)
        return {
            "Credentials": {
                "AccessKeyId": f"ASIA{number}", "SecretAccessKey": f"secret-{number}",
                "SessionToken": f"token-{number}",
                "Expiration": datetime.now(UTC) + timedelta(seconds=self.seconds),
            }
        }  # fmt: skip


def facts() -> ClusterFacts:
    teams = {
        "lab": TeamFacts(1, "ff-lab", ME, "lab-run-us-east-1"),
        "blue": TeamFacts(1, "ff-blue", ME + 1, "lab-run-blue-us-east-1"),
        "old": TeamFacts(1, "ff-old", ME),
    }
    return replace(cluster_facts(), default_team="lab", teams=teams)


@pytest.fixture
def sts() -> Sts:
    return Sts()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An emulated machine, and its variables."""
    monkeypatch.setenv("FLEETFORM_ROOT", str(tmp_path))
    monkeypatch.setenv("FLEETFORM_RUN", str(tmp_path / "run"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    return machines.read_machine()


@pytest.fixture
def serving(machine: Machine, sts: Sts, metadata_service: MetadataService) -> Iterator[ThreadingHTTPServer]:
    """The service of a machine on which each team is a user of its own, and one is this process's."""
    service = server.Service(
        machine, Teams(facts, one_user=False), Lender(sts), Metadata(metadata_service.environment)
    )
    made = server.serve(service)
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def borrowed(run_id: str = RUN, job_id: int = 7, **more: str) -> dict[str, str]:
    """Return the variables of a run that has borrowed its role."""
    environment = {name: os.environ[name] for name in ("FLEETFORM_ROOT", "FLEETFORM_RUN")}
    borrow(run_id, job_id, environment)
    return {**environment, **more}


def keys(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    """Return the credentials that boto3 finds with these variables."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Session().get_credentials()


def test_boto3_finds_the_role_of_a_runs_team_in_the_runs_name(
    machine: Machine, serving: ThreadingHTTPServer, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.grant(machine, 7, ME)
    found = keys(monkeypatch, borrowed())
    assert found.method == "container-role"
    frozen = found.get_frozen_credentials()
    assert (frozen.access_key, frozen.secret_key, frozen.token) == ("ASIA1", "secret-1", "token-1")
    assert sts.asked == [
        {
            "RoleArn": "arn:aws-cn:iam::123456789012:role/lab-run-us-east-1",
            "RoleSessionName": RUN,
            "DurationSeconds": 3600,
        }
    ]


def test_boto3_fetches_new_credentials_by_itself_before_the_old_ones_end(
    machine: Machine, serving: ThreadingHTTPServer, sts: Sts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.grant(machine, 7, ME)
    sts.seconds = 60
    found = keys(monkeypatch, borrowed())
    assert found.access_key and len(sts.asked) == 2, "what ends in a minute is not kept"
    sts.seconds = SECONDS
    assert [found.get_frozen_credentials().access_key for _ in range(3)] == ["ASIA3"] * 3


def test_no_secret_is_in_a_runs_environment_and_its_token_is_its_users_alone(
    machine: Machine, serving: ThreadingHTTPServer, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens.grant(machine, 7, ME)
    environment = borrowed()
    file = tokens.token_path(machine, 7)
    token = file.read_text()
    assert len(token) > 40 and token not in json.dumps(environment)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o711, "who does not know a name finds none"
    await_role(environment)
    await_role({**environment, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": os.devnull})
    said = capfd.readouterr()
    assert "is not there yet: HTTP Error 401" in said.err
    assert not any(secret in said.out + said.err for secret in (token, "secret-1", "token-1"))


@pytest.mark.parametrize(
    ("run_id", "job_id"),
    [(BLUES, 7), (RUN, 8), ("green-1", 7), ("old-1", 7)],
    ids=["another team's run", "another job", "no team's run", "described by an older version"],
)
def test_a_run_gets_no_role_that_is_not_its_teams(
    machine: Machine, sts: Sts, run_id: str, job_id: int
) -> None:
    for job in (7, 8):
        tokens.grant(machine, job, ME)
    service = server.Service(machine, Teams(facts, one_user=False), Lender(sts), Metadata())
    status, said = service.credentials(job_id, run_id, tokens.token_path(machine, 7).read_text())
    assert status in (401, 403) and said
    assert sts.asked == []


def test_a_token_counts_from_a_jobs_prolog_to_its_epilog(machine: Machine) -> None:
    tokens.grant(machine, 7, ME)
    first = tokens.token_path(machine, 7).read_text()
    assert tokens.owner(machine, 7, first) == ME
    tokens.grant(machine, 7, ME)
    assert tokens.owner(machine, 7, first) is None, "the job's execution before"
    again = tokens.token_path(machine, 7).read_text()
    tokens.revoke(machine, 7)
    tokens.revoke(machine, 7)
    assert tokens.owner(machine, 7, again) is None


def test_on_a_machine_with_one_user_the_run_says_whose_it_is(sts: Sts) -> None:
    teams = Teams(facts, one_user=True)
    assert teams.find(ME, BLUES).run_role == "lab-run-blue-us-east-1"
    assert teams.find(ME, RUN).run_role == "lab-run-us-east-1"
    with pytest.raises(RefusedError, match="green-1 is no run of a team with the user"):
        teams.find(ME, "green-1")


def test_a_team_that_was_just_added_is_found_and_the_description_not_read_for_every_stranger() -> None:
    read: list[float] = []

    def growing() -> ClusterFacts:
        read.append(time.monotonic())
        found = facts()
        return found if len(read) > 1 else replace(found, teams={"lab": found.teams["lab"]})

    teams = Teams(growing, one_user=True)
    assert teams.find(ME, RUN)
    teams._read_at -= 61
    assert teams.find(ME, BLUES).user == "ff-blue"
    for _ in range(3):
        with pytest.raises(RefusedError):
            teams.find(ME, "green-1")
    assert len(read) == 2


def test_a_role_is_taken_on_once_for_all_of_a_runs_processes_and_again_at_half_time(sts: Sts) -> None:
    lender = Lender(sts)
    assert {lender.lend("r", RUN).access_key for _ in range(3)} == {"ASIA1"}
    assert lender.lend("r", "other").access_key == "ASIA2"
    sts.seconds = SECONDS // 2 - 10
    lender._known.clear()
    assert [lender.lend("r", RUN).access_key for _ in range(2)] == ["ASIA3", "ASIA4"]


def test_while_sts_is_away_a_run_keeps_what_it_has_for_as_long_as_that_is_good(sts: Sts) -> None:
    lender = Lender(sts)
    sts.seconds = 60
    assert lender.lend("r", RUN).access_key == "ASIA1"
    sts.away = AWAY
    assert lender.lend("r", RUN).access_key == "ASIA1"
    lender._known["r", RUN] = replace(lender._known["r", RUN], expires=datetime.now(UTC))
    with pytest.raises(EndpointConnectionError):
        lender.lend("r", RUN)


def test_a_run_is_told_of_the_machine_what_is_no_secret_and_nothing_else(
    machine: Machine, serving: ThreadingHTTPServer, metadata_service: MetadataService
) -> None:
    tokens.grant(machine, 7, ME)
    told = Metadata(borrowed())
    metadata_service.values["iam/security-credentials/lab-node"] = "{}"
    assert told.get("instance-id") == "i-1"
    assert told.get("spot/instance-action") is None
    metadata_service.values["spot/instance-action"] = '{"action": "terminate"}'
    assert told.get("spot/instance-action") == '{"action": "terminate"}'
    for path in ("iam/security-credentials/lab-node", "iam/info", "tags/instance", "../user-data", ""):
        assert told.get(path) is None, path


def test_without_the_service_nothing_is_borrowed(machine: Machine) -> None:
    environment = borrowed()
    assert set(environment) == {"FLEETFORM_ROOT", "FLEETFORM_RUN"}
    await_role(environment)
    tokens.tell_address(machine, "127.0.0.1:1")
    assert set(borrowed()) == set(environment), "a job without a token"


class Refusing:
    """S3 to somebody who may list what begins with `runs/mine/` alone."""

    def get_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    def get_paginator(self, _: str) -> Refusing:
        return self

    def paginate(self, Prefix: str, **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        if not Prefix.startswith("runs/mine/"):
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "ListObjectsV2")
        return [{"Contents": [{"Key": "runs/mine/kept", "Size": 1}]}]


def test_an_object_that_is_there_and_refused_is_not_taken_for_missing() -> None:
    bucket = Bucket(Refusing(), "artifacts")
    assert bucket.get("runs/mine/stop.json") is None
    for key in ("runs/mine/kept", "runs/other/stop.json"):
        with pytest.raises(ClientError, match="AccessDenied"):
            bucket.get(key)


# -------------------------------------------------------------------------------------- closed, or not at all


class RealMachine(Machine):
    """A machine that takes itself for a real one, in a folder."""

    emulated = False


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RealMachine:
    """A machine of which only `nft` is looked for, and only in a folder of the test's."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(machines, "_SYSTEM_PROGRAMS", ())
    return RealMachine(root=tmp_path, run=tmp_path / "run")


def nft(real: RealMachine, script: str) -> None:
    (real.root / "bin/nft").write_text(f"#!/bin/sh\n{script}\n")
    (real.root / "bin/nft").chmod(0o755)


def test_rules_that_cannot_be_loaded_keep_a_machine_from_its_cluster_with_why(
    real: RealMachine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["service", "slurmd"])
    monkeypatch.setattr(node_service, "read_machine", lambda: real)
    monkeypatch.setattr(node_service, "read_node_config", lambda: None)
    for script, why in (
        ("", "nft is not on this machine"),
        ("echo 'Operation not supported' >&2; exit 1", "Operation not supported"),
        ("exit 3", "exit code 3"),
    ):
        if script:
            nft(real, script)
        assert node_service.main() == 1
        said = capsys.readouterr().err
        assert (
            "slurmd cannot be started: the metadata service cannot be closed to the teams' programs" in said
        )
        assert why in said


def test_the_rules_of_the_machines_own_role_are_loaded_from_the_bundle(real: RealMachine) -> None:
    nft(real, f'echo "$*" >>"{real.root}/calls"')
    for role in ("head", "node"):
        rule.close(real, role)
    rules = real.bundle / "rules"
    assert (real.root / "calls").read_text().splitlines() == [
        f"-f {rules}/metadata-head.nft",
        f"-f {rules}/metadata-node.nft",
    ]


@pytest.mark.parametrize("reached", [True, False])
def test_a_node_on_which_a_job_could_take_its_role_is_drained_before_the_job(
    real: RealMachine, monkeypatch: pytest.MonkeyPatch, *, reached: bool
) -> None:
    drained: list[tuple[str, ...]] = []
    nft(real, "exit 0")
    monkeypatch.setattr(prolog, "read_machine", lambda: real)
    monkeypatch.setattr(prolog, "drain", lambda *told: drained.append(told))
    monkeypatch.setattr(rule, "answers", lambda uid: reached)
    assert prolog.fence("gpu-1", 7, ME) is not reached
    assert bool(drained) is reached
    nft(real, "exit 1")
    assert not prolog.fence("gpu-1", 8, ME)
    assert drained[-1][:2] == ("gpu-1", prolog.HEALTH) and "cannot be closed" in drained[-1][2]
