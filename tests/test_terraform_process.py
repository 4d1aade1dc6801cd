"""Real Terraform and provider against the embedded cloud: killed, interrupted, locked out, cut off."""

from __future__ import annotations

import datetime
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.adopt import find_adoptable
from fleet.aws import client
from fleet.cloud import Cloud
from fleet.terraform import Stack
from fleet.terraform_events import ProgressEvent, TerraformError
from fleet.terraform_lock import LockHeldError, RunRecord, StateLock
from stacks import naming
from tests.sandbox_helpers import admin
from tests.terraform_stack import (
    REGION,
    STATE_BUCKET,
    is_alive,
    open_test_stack,
    remove,
    slow,
    start_apply,
    terraform_pid,
    write_stack,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]


@pytest.fixture
def cloud(sandbox: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Return the embedded cloud with a state bucket, and no faults afterwards."""
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    s3 = client(sandbox, "s3", REGION)
    if STATE_BUCKET not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=STATE_BUCKET)
    yield sandbox
    admin(sandbox, "DELETE", "faults")


def parameter(name: str) -> dict[str, Any]:
    """Return the quickest resource that there is."""
    return {"aws_ssm_parameter": {"quick": {"name": f"/tests/{name}", "type": "String", "value": "x"}}}


def remembered() -> dict[str, Any]:
    """Return a resource that is made in the state and nowhere else, for what is about the state."""
    return {"terraform_data": {"quick": {"input": "x"}}}


def lock_key(name: str) -> str:
    """Return the key of the stack's lock object."""
    return naming.state_key(name) + ".tflock"


def test_an_applied_stack_has_an_empty_plan_and_its_destruction_leaves_an_empty_state(
    cloud: Cloud, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    write_stack(tmp_path, "round", parameter("round"))
    stack = open_test_stack(tmp_path, "round", cloud, events)
    assert not stack.plan().empty
    assert stack.apply().add == 1
    assert [(each.kind, each.done, each.total) for each in events if each.address][-2:] == [
        ("started", 0, 1),
        ("done", 1, 1),
    ]
    initialized = (tmp_path / ".terraform/fleetform.init").stat().st_mtime_ns
    assert stack.plan().empty
    assert (tmp_path / ".terraform/fleetform.init").stat().st_mtime_ns == initialized
    assert [(each.address, each.id) for each in stack.resources()] == [
        ("aws_ssm_parameter.quick", "/tests/round")
    ]
    assert stack.destroy().destroy == 1
    assert stack.resources() == []


def test_a_provider_error_names_the_resource_and_its_place_in_our_code(cloud: Cloud, tmp_path: Path) -> None:
    write_stack(tmp_path, "wrong", {"aws_vpc": {"bad": {"cidr_block": "10.0.0.0/4"}}})
    with pytest.raises(TerraformError, match=r"aws_vpc\.bad at stacks/some_stack\.py:7: .*10\.0\.0\.0/4"):
        open_test_stack(tmp_path, "wrong", cloud).apply()


def test_terraform_outlives_a_killed_fleetform_and_the_next_command_follows_it(
    cloud: Cloud, tmp_path: Path
) -> None:
    write_stack(tmp_path, "follow", slow("follow"))
    child = start_apply(tmp_path, "follow", cloud)
    terraform = terraform_pid(tmp_path)
    child.kill()
    child.communicate()
    assert is_alive(terraform)
    events: list[ProgressEvent] = []
    stack = open_test_stack(tmp_path, "follow", cloud, events)
    assert stack.apply().empty, "the terraform that was left alone has made everything and saved its state"
    followed = [each.text for each in events if each.kind == "note"]
    assert len(followed) == 1 and f"process {terraform}" in followed[0]
    assert any(each.address == "aws_vpc.slow" and each.kind == "done" for each in events)
    assert len(stack.resources()) == 3
    remove(cloud, "follow")


def test_after_a_killed_terraform_its_lock_is_broken_and_what_it_made_is_taken_over(
    cloud: Cloud, tmp_path: Path
) -> None:
    write_stack(tmp_path, "killed", slow("killed"))
    child = start_apply(tmp_path, "killed", cloud)
    os.kill(terraform_pid(tmp_path), signal.SIGKILL)
    child.communicate()
    assert child.returncode == 1
    unlocked: list[tuple[StateLock, str]] = []
    stack = open_test_stack(tmp_path, "killed", cloud)
    stack.on_unlock = lambda lock, proof: unlocked.append((lock, proof))
    with pytest.raises(TerraformError) as caught:
        stack.apply()
    ((lock, proof),) = unlocked
    assert (
        lock.operation == "apply" and "terraform apply (process" in proof and "died on this machine" in proof
    )
    adopted = find_adoptable(caught.value.diagnostics, cloud, REGION, "killed", died=stack.died)
    # The parameter is written over, as an environment's outputs are.
    assert adopted == [("aws_s3_bucket.quick", "tests-killed")]
    stack.apply_adopting(adopted)
    assert stack.plan().empty
    assert not stack.died
    assert stack.destroy().destroy == 3


def test_a_thing_of_the_same_name_that_is_somebody_elses_is_not_taken_over(
    cloud: Cloud, tmp_path: Path
) -> None:
    ssm = client(cloud, "ssm", REGION)
    tags = [{"Key": naming.TAG_STACK, "Value": "another"}]
    ssm.put_parameter(Name="/tests/theirs", Type="String", Value="x", Tags=tags)
    write_stack(tmp_path, "theirs", parameter("theirs"))
    with pytest.raises(TerraformError, match="ParameterAlreadyExists") as caught:
        open_test_stack(tmp_path, "theirs", cloud).apply()
    assert find_adoptable(caught.value.diagnostics, cloud, REGION, "theirs", died=True) == []


def test_an_interrupt_stops_terraform_cleanly_and_frees_the_state(cloud: Cloud, tmp_path: Path) -> None:
    write_stack(tmp_path, "stop", slow("stop"))
    child = start_apply(tmp_path, "stop", cloud)
    terraform = terraform_pid(tmp_path)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate()
    assert "KeyboardInterrupt" in output
    assert not is_alive(terraform)
    stack = open_test_stack(tmp_path, "stop", cloud)
    assert {each.address for each in stack.resources()} >= {"aws_s3_bucket.quick", "aws_ssm_parameter.quick"}
    assert stack.destroy().destroy >= 2


def lock_of_kim(created: datetime.datetime) -> dict[str, str]:
    """Return a lock as Terraform writes it."""
    return {
        "ID": "11111111-2222-3333-4444-555555555555",
        "Operation": "OperationTypeApply",
        "Who": "kim@laptop",
        "Version": "1.11.4",
        "Created": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "Path": "x",
    }


def test_a_lock_of_somebody_else_is_named_and_left_alone(cloud: Cloud, tmp_path: Path) -> None:
    s3, created = (
        client(cloud, "s3", REGION),
        datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=23),
    )
    body = json.dumps(lock_of_kim(created)).encode()
    s3.put_object(Bucket=STATE_BUCKET, Key=lock_key("held"), Body=body)
    write_stack(tmp_path, "held", remembered())
    with pytest.raises(
        LockHeldError,
        match=rf"kim@laptop .*since {created:%Y-%m-%d %H:%M:%S} UTC for `terraform apply`(.|\n)*24 hours",
    ):
        open_test_stack(tmp_path, "held", cloud).apply()
    assert s3.get_object(Bucket=STATE_BUCKET, Key=lock_key("held"))["Body"].read() == body


def test_a_lock_that_is_older_than_anybody_can_have_worked_is_broken_on_record(
    cloud: Cloud, tmp_path: Path
) -> None:
    created = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=25)
    body = json.dumps(lock_of_kim(created)).encode()
    client(cloud, "s3", REGION).put_object(Bucket=STATE_BUCKET, Key=lock_key("old"), Body=body)
    write_stack(tmp_path, "old", remembered())
    stack, proofs = open_test_stack(tmp_path, "old", cloud), list[str]()
    stack.on_unlock = lambda lock, proof: proofs.append(f"{lock.who}: {proof}")
    assert stack.apply().add == 1
    assert proofs == ["kim@laptop: it is 25 hours old, and nobody works for more than 24"]


def test_a_state_that_s3_refuses_is_kept_and_written_by_the_next_command(
    cloud: Cloud, tmp_path: Path
) -> None:
    write_stack(tmp_path, "refused", remembered())
    stack = open_test_stack(tmp_path, "refused", cloud)
    stack.init()
    fault = {"service": "s3", "action": "PutObject", "resource": "refused/terraform.tfstate", "skip": 1}
    admin(cloud, "POST", "faults", {**fault, "code": "AccessDenied", "status": 403})
    with pytest.raises(TerraformError, match=r"errored\.tfstate, and the next"):
        stack.apply()
    admin(cloud, "DELETE", "faults")
    assert stack.plan().empty, "the state was pushed first, so nothing is made twice"
    assert not (tmp_path / "errored.tfstate").exists()


def test_a_lock_taken_after_our_terraform_died_is_not_ours(tmp_path: Path) -> None:
    record = RunRecord.begin("apply")
    (tmp_path / record.log).write_text("")
    os.utime(tmp_path / record.log, (0, 0))
    began = f"{record.started[:19].replace('T', ' ')} +0000 UTC"
    lock = StateLock.from_diagnostics([_lock_diagnostic(record.who, began)])
    assert lock is not None and not record.owns(lock, tmp_path)
    (tmp_path / record.log).touch()
    assert record.owns(lock, tmp_path)


def _lock_diagnostic(who: str, created: str) -> Any:
    from fleet.terraform_events import Diagnostic

    detail = (
        f"Lock Info:\n  ID:        a\n  Path:      b\n  Operation: OperationTypePlan\n  Who:       {who}\n"
    )
    detail += f"  Version:   1\n  Created:   {created}\n  Info:      \n"
    return Diagnostic(severity="error", summary="Error acquiring the state lock", detail=detail)


def test_a_stack_without_terraform_says_what_to_install(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stacks.problems import UserError

    monkeypatch.setenv("PATH", str(tmp_path))
    write_stack(tmp_path, "none", remembered())
    stack: Stack = open_test_stack(tmp_path, "none", cloud)
    with pytest.raises(UserError, match="neither terraform nor tofu is on PATH"):
        stack.apply()


@pytest.mark.parametrize("cut_off", ["", '{"version": 3, "backend"'])
def test_a_note_of_the_backend_that_a_full_disk_cut_off_stops_no_later_command(
    cloud: Cloud, tmp_path: Path, cut_off: str
) -> None:
    write_stack(tmp_path, "full", remembered())
    note = tmp_path / ".terraform" / "terraform.tfstate"
    note.parent.mkdir()
    note.write_text(cut_off)
    open_test_stack(tmp_path, "full", cloud).init()
    assert json.loads(note.read_text())["backend"]["type"] == "s3"
