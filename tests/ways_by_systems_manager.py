"""Ways into a machine by Systems Manager, by its disks, its role and its first script (tests/ways_in.py)."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from typing import Any

from stacks import naming
from tests.environment_parts import REGION
from tests.iam_helpers import ACCOUNT
from tests.record_lab import ENVIRONMENT, RecordLab
from tests.sandbox_helpers import IMAGE, api
from tests.ways_in import ELSEWHERE, Act, Clients, Planted, Way, both, nobody_else, only_owner

_SSM, _EC2, _S3 = "ssm.amazonaws.com", "ec2.amazonaws.com", "s3.amazonaws.com"
_NAMES = itertools.count(1)


def session_ways() -> Iterator[Way]:
    """Yield them."""
    yield Way("ssm-shell", "operator", "entered by Session Manager", "recorded", _by_ours)
    what = "entered by Session Manager with its default document, which is not fleetform's"
    yield from nobody_else("ssm-default-document", what, "not recorded", _by(""))
    for name in ("AWS-StartSSHSession", "AWS-StartPortForwardingSession"):
        what = f"opened a tunnel by Session Manager ({name})"
        yield from nobody_else("ssm-tunnel", what, "tunnel only", _by(name))
    name = "AWS-StartInteractiveCommand"
    what = f"entered by Session Manager with {name}, which is not fleetform's"
    yield from nobody_else("ssm-tunnel", what, "not recorded", _by(name))


def command_ways() -> Iterator[Way]:
    """Yield them."""
    yield from both("run-command", "sent the command AWS-RunShellScript", "command", _send)
    yield from both("automation", "put it into a maintenance window", "command", _maintain)
    targets = [{"key": f"tag:{naming.TAG_ENVIRONMENT}", "values": [ENVIRONMENT]}]
    for name, what in (
        ("StartAutomationExecution", "ran an automation on it"),
        ("CreateAssociation", "had State Manager run a document on it"),
    ):
        yield from only_owner("automation", what, "command", _planted(_SSM, name, targets=targets))


def other_ways() -> Iterator[Way]:
    """Yield them; the machine starts anew at their end."""
    yield from both("console-output", "read its console", "looked at", _read_console)
    yield Way("console-output", "owner", "took a picture of its console", "looked at", _picture)
    yield from nobody_else("disk-elsewhere", "made an image of its disks", "copy", _image)
    what = f"used its role from {ELSEWHERE}, calls: 1"
    yield from only_owner("borrowed-role", what, "calls recorded", _borrow)
    yield from nobody_else("user-data", "changed its first script", "first script", _change_script)
    yield Way("user-data", "operator", "started it anew", "no entry", _reboot)


def start_unseen(lab: RecordLab, **more: Any) -> str:
    """Start a machine with the environment's tag by hand, past its launch templates; return its id."""
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": ENVIRONMENT}]
    answer = api(lab.cloud, "ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}], **more,
    )  # fmt: skip
    return str(answer["Instances"][0]["InstanceId"])


def _by_ours(lab: RecordLab, clients: Clients) -> object:
    return _by(lab.document)(lab, clients)


def _by(document: str) -> Act:
    def act(lab: RecordLab, clients: Clients) -> object:
        ssm, named = clients("ssm"), {"DocumentName": document} if document else {}
        begun = ssm.start_session(Target=lab.machine, Reason="try", **named)["SessionId"]
        return ssm.terminate_session(SessionId=begun)

    return act


def _planted(source: str, name: str, **asked: Any) -> Act:
    return lambda lab, clients: Planted(source, name, asked)


def _send(lab: RecordLab, clients: Clients) -> object:
    return clients("ssm").send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[lab.machine], Parameters={"commands": ["true"]}
    )


def _maintain(lab: RecordLab, clients: Clients) -> object:
    ssm = clients("ssm")
    window = ssm.create_maintenance_window(
        Name=f"way-{next(_NAMES)}",
        Schedule="rate(1 day)",
        Duration=1,
        Cutoff=0,
        AllowUnassociatedTargets=True,
    )["WindowId"]
    return ssm.register_target_with_maintenance_window(
        WindowId=window, ResourceType="INSTANCE", Targets=[{"Key": "InstanceIds", "Values": [lab.machine]}]
    )


def _read_console(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").get_console_output(InstanceId=lab.machine)


def _picture(lab: RecordLab, clients: Clients) -> object:
    return Planted(_EC2, "GetConsoleScreenshot", {"instanceId": lab.machine})


def _image(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").create_image(InstanceId=lab.machine, Name=f"way-{next(_NAMES)}")


def _borrow(lab: RecordLab, clients: Clients) -> object:
    role = f"{ENVIRONMENT}-node-{REGION}"
    return Planted(_S3, "ListBuckets", {}, f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{lab.machine}")


def _change_script(lab: RecordLab, clients: Clients) -> object:
    script = base64.b64encode(b"#!/bin/sh\n")
    return clients("ec2").modify_instance_attribute(InstanceId=lab.machine, UserData={"Value": script})


def _reboot(lab: RecordLab, clients: Clients) -> object:
    return clients("ec2").reboot_instances(InstanceIds=[lab.machine])
