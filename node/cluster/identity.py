"""Which machine this is: its instance, Slurm's name for it, and the head of its cluster."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Mapping
from typing import Any

from node.cluster.compose import Controller
from node.instances import describe
from node.layout import TAG_ENVIRONMENT, TAG_NODE, TAG_ROLE

ROLE_HEAD = "head"
_ENDPOINT = "http://169.254.169.254"
_SESSION_SECONDS = "60"
_TIMEOUT_SECONDS = 20.0


def instance_metadata(path: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return a value of the instance's metadata (`instance-id`), version 2. Raises OSError."""
    base = (environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT).rstrip("/")
    token = _open(
        urllib.request.Request(  # noqa: S310 - a fixed address of this machine's own
            f"{base}/latest/api/token",
            method="PUT",
            headers={"X-aws-ec2-metadata-token-ttl-seconds": _SESSION_SECONDS},
        )
    )
    return _open(
        urllib.request.Request(  # noqa: S310
            f"{base}/latest/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}
        )
    )


def _open(request: urllib.request.Request) -> str:
    # A proxy is for the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        return str(answer.read().decode())


def own_name(ec2: Any, instance_id: str) -> str:
    """Return the name that the head has given the instance in Slurm, "" as long as it has not."""
    filters = [{"Name": "resource-id", "Values": [instance_id]}, {"Name": "key", "Values": [TAG_NODE]}]
    return next((str(each["Value"]) for each in ec2.describe_tags(Filters=filters)["Tags"]), "")


def find_head(ec2: Any, environment: str) -> Controller | None:
    """Return the environment's head, the youngest where it is just being replaced, or None."""
    filters = [
        {"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_HEAD]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = describe(ec2, filters)
    if not found:
        return None
    youngest = max(found, key=lambda each: each["LaunchTime"])
    return Controller(str(youngest["PrivateDnsName"]).partition(".")[0], str(youngest["PrivateIpAddress"]))
