"""What the tests of the embedded cloud share: clients, waiting, and instances to run on."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from fleet.aws import client
from fleet.cloud import Cloud

REGION = "us-east-1"
IMAGE = "ami-12c6146b"
"""An image that moto knows."""

Found = TypeVar("Found")


def api(cloud: Cloud, service: str) -> Any:
    """Return a client for the service, always the same one: making one takes longer than a call."""
    return _client(cloud.name, tuple(sorted(cloud.variables.items())), service)


@lru_cache(maxsize=64)
def _client(name: str, variables: tuple[tuple[str, str], ...], service: str) -> Any:
    return client(Cloud(name, dict(variables)), service, REGION)


def wait_for(look: Callable[[], Found | None], seconds: float = 30) -> Found:
    """Return what `look` finds, as soon as it is truthy."""
    deadline, pause = time.monotonic() + seconds, 0.02
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"nothing after {seconds} s"
        time.sleep(pause)
        # Looks are calls of the cloud, which shares its cores with what is waited for.
        pause = min(1.5 * pause, 0.25)


def run_instances(cloud: Cloud, count: int = 1, user_data: str = "", **tags: str) -> list[str]:
    """Start instances and return their ids."""
    answer = api(cloud, "ec2").run_instances(
        ImageId=IMAGE,
        MinCount=count,
        MaxCount=count,
        InstanceType="g5.xlarge",
        UserData=user_data,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": k, "Value": v} for k, v in {"a": "b", **tags}.items()],
            }
        ],
    )
    return [instance["InstanceId"] for instance in answer["Instances"]]


def run_script(cloud: Cloud, instance_id: str, script: str) -> dict[str, Any]:
    """Run a script on one instance by Run Command and return its finished invocation."""
    ssm = api(cloud, "ssm")
    command_id = ssm.send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[instance_id], Parameters={"commands": [script]}
    )["Command"]["CommandId"]
    return finished(cloud, command_id, instance_id)


def finished(cloud: Cloud, command_id: str, instance_id: str) -> dict[str, Any]:
    """Return the invocation once its status is final."""
    ssm = api(cloud, "ssm")

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
        return None if found["Status"] in ("Pending", "InProgress") else found

    return wait_for(look)


def admin(cloud: Cloud, method: str, path: str, body: object = None) -> Any:
    """Call the embedded cloud's own endpoint."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{cloud.endpoint}/_sandbox/{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)
