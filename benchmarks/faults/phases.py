"""The phases of up, run and down by the calls that they are made of: where a fault can hit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

COMMAND, TERRAFORM, MACHINE = "command", "terraform", "role"
"""Who makes a phase's calls, as the embedded cloud tells callers apart."""
_LEDGER, _LOCK, _STATE = "/ledger/", ".tflock?", "terraform.tfstate?"
"""What is in the calls about entries, locks and states; a `?` ends an object's name."""


@dataclass(frozen=True)
class Phase:
    """One phase of a command."""

    command: str
    """`up`, `run` or `down`."""
    name: str
    caller: str
    service: str
    action: str
    """An action of the service, or a pattern of some."""
    resource: str = ""
    places: int = 1
    """At how many of its calls a fault may be put: the first so many are always made."""
    first: int = 1
    """The number of its first call among those that match."""
    also: tuple[str, ...] = ()
    """Faults that make sense here beside those of its caller."""

    def selector(self, place: int) -> dict[str, Any]:
        """Return the fields of a fault that hits the phase's call of that number, from 1 on."""
        return {
            "service": self.service,
            "action": self.action,
            "resource": self.resource,
            "caller": self.caller,
            "skip": self.first + place - 2,
        }


UP = (
    Phase("up", "asks who it is", COMMAND, "sts", "GetCallerIdentity"),
    Phase("up", "asks what is there", COMMAND, "ec2", "Describe*", places=3),
    Phase("up", "makes the account's buckets", COMMAND, "s3", "CreateBucket", places=3),
    Phase("up", "makes the account's policies", COMMAND, "iam", "CreatePolicy", places=2),
    Phase("up", "writes its first entry", COMMAND, "s3", "PutObject", _LEDGER),
    Phase("up", "takes a lock", TERRAFORM, "s3", "PutObject", _LOCK, places=3),
    Phase("up", "makes the network", TERRAFORM, "ec2", "CreateVpc"),
    Phase("up", "makes what is in the network", TERRAFORM, "ec2", "Create*", places=10),
    Phase("up", "makes roles", TERRAFORM, "iam", "CreateRole", places=5),
    Phase("up", "makes buckets", TERRAFORM, "s3", "CreateBucket", places=2),
    Phase("up", "makes keys", TERRAFORM, "kms", "CreateKey", places=2),
    Phase("up", "writes a state", TERRAFORM, "s3", "PutObject", _STATE, places=3),
    Phase("up", "reads a state", COMMAND, "s3", "GetObject", _STATE, places=3),
    Phase("up", "makes launch templates", TERRAFORM, "ec2", "CreateLaunchTemplate", places=2),
    Phase(
        "up", "makes groups of machines", TERRAFORM, "autoscaling", "CreateAutoScalingGroup", places=2,
        also=("no capacity",),
    ),
    Phase("up", "makes documents", TERRAFORM, "ssm", "CreateDocument", places=2),
    Phase("up", "publishes its outputs", TERRAFORM, "ssm", "PutParameter"),
    Phase("up", "waits for machines", COMMAND, "ssm", "DescribeInstanceInformation", places=2),
    Phase("up", "writes its last entry", COMMAND, "s3", "PutObject", _LEDGER, first=2),
)  # fmt: skip
"""Those of `fleetform up`, from nothing to machines that answer."""

_OF_MACHINES = ("power loss", "head's power loss", "interruption", "machine's disk full")
RUN = (
    Phase("run", "asks who it is", COMMAND, "sts", "GetCallerIdentity"),
    Phase("run", "writes its first entry", COMMAND, "s3", "PutObject", _LEDGER),
    Phase("run", "reads the outputs", COMMAND, "ssm", "GetParameter"),
    Phase("run", "holds the money", COMMAND, "s3", "PutObject", ".budget/holds.json"),
    Phase("run", "brings the code", COMMAND, "s3", "PutObject", "/code.tar.gz"),
    Phase("run", "writes run.json", COMMAND, "s3", "PutObject", "/run.json"),
    Phase("run", "tells the head", COMMAND, "ssm", "SendCommand"),
    Phase("run", "notes what it told", COMMAND, "s3", "PutObject", "/submission.json"),
    Phase("run", "has submitted", COMMAND, "s3", "PutObject", _LEDGER, first=2),
    Phase("run", "follows", COMMAND, "s3", "GetObject", "/events.jsonl", places=3),
    Phase("run", "settles", COMMAND, "s3", "PutObject", "/settled.json"),
    Phase("run", "records the end", COMMAND, "s3", "PutObject", _LEDGER, first=3),
    Phase("run", "the head queues", MACHINE, "s3", "PutObject", "/events.jsonl", also=_OF_MACHINES),
    Phase("run", "the head claims", MACHINE, "s3", "PutObject", "nodes/", also=_OF_MACHINES),
    Phase("run", "the head tells a node", MACHINE, "ssm", "SendCommand", also=_OF_MACHINES),
    Phase("run", "a node fetches", MACHINE, "s3", "GetObject", "/code.tar.gz", also=_OF_MACHINES),
    Phase("run", "a node sends its log", MACHINE, "s3", "PutObject", "/logs/", also=_OF_MACHINES),
    Phase("run", "a node has uploaded", MACHINE, "s3", "PutObject", "/outputs/", also=_OF_MACHINES),
    Phase("run", "the head ends it", MACHINE, "s3", "PutObject", "/events.jsonl", first=4, also=_OF_MACHINES),
)
"""Those of `fleetform run --follow`, and of the machines that carry the run out."""

DOWN = (
    Phase("down", "asks who it is", COMMAND, "sts", "GetCallerIdentity"),
    Phase("down", "writes its first entry", COMMAND, "s3", "PutObject", _LEDGER),
    Phase("down", "looks at the runs", COMMAND, "s3", "ListObjectsV2", "prefix=runs"),
    Phase("down", "looks at what stands", COMMAND, "ec2", "Describe*", places=6),
    Phase("down", "looks at tags", COMMAND, "resourcegroupstaggingapi", "GetResources"),
    Phase("down", "takes a lock", TERRAFORM, "s3", "PutObject", _LOCK, places=2),
    Phase("down", "ends groups of machines", TERRAFORM, "autoscaling", "DeleteAutoScalingGroup", places=2),
    Phase("down", "deletes launch templates", TERRAFORM, "ec2", "DeleteLaunchTemplate"),
    Phase("down", "writes a state", TERRAFORM, "s3", "PutObject", _STATE, places=2),
    Phase("down", "empties buckets", COMMAND, "s3", "DeleteObjects"),
    Phase(
        "down", "deletes what is in the network", TERRAFORM, "ec2", "Delete*", places=8,
        also=("dependency violation",),
    ),
    Phase(
        "down", "deletes security groups", TERRAFORM, "ec2", "DeleteSecurityGroup",
        also=("dependency violation",),
    ),
    Phase("down", "deletes the network", TERRAFORM, "ec2", "DeleteVpc", also=("dependency violation",)),
    Phase("down", "deletes buckets", TERRAFORM, "s3", "DeleteBucket", places=2),
    Phase("down", "deletes roles", TERRAFORM, "iam", "DeleteRole", places=4),
    Phase("down", "proves it", COMMAND, "resourcegroupstaggingapi", "GetResources", first=2),
    Phase("down", "writes its last entry", COMMAND, "s3", "PutObject", _LEDGER, first=2),
)  # fmt: skip
"""Those of `fleetform down --base`, to the proof that nothing is left."""

PHASES = {"up": UP, "run": RUN, "down": DOWN}
