"""What a call of the trail has to do with a machine: a way in, a look at it, or its life.

The rows of docs/entry-paths.md, seen from what CloudTrail records of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fleet.trail import TrailEvent

_Entered = Literal[
    "recorded",
    "recording to come",
    "recording missing",
    "tunnel only",
    "not recorded",
    "command",
    "first script",
    "copy",
    "calls recorded",
]
Completeness = Literal[_Entered, "looked at", "no entry", "refused"]
"""How much is known of what was done.

`recorded`: a transcript lies in the locked bucket; it comes at a session's end. `tunnel only`: that there
was one, and not what went through it. `command`: the document; CloudTrail hides the parameters.
`calls recorded`: somebody has its role; what they did with it is in the trail.
"""
ENTRIES: frozenset[Completeness] = frozenset(get_args(_Entered))
"""Those by which somebody was on the machine, or has what was on it."""


@dataclass(frozen=True)
class Way:
    """One kind of call."""

    what: str
    """In words, for a sentence that begins with who did it."""
    completeness: Completeness


_SSM, _CONNECT, _EC2 = "ssm.amazonaws.com", "ec2-instance-connect.amazonaws.com", "ec2.amazonaws.com"
_BALANCING = "elasticloadbalancing.amazonaws.com"
SESSION = (_SSM, "StartSession")

ENDED = (_SSM, "TerminateSession")
COMMAND = (_SSM, "SendCommand")
TUNNEL = (_CONNECT, "OpenTunnel")
ATTRIBUTE = (_EC2, "ModifyInstanceAttribute")
STARTED = (_EC2, "RunInstances")
WAYS: Mapping[tuple[str, str], Way] = {
    COMMAND: Way("sent a command", "command"),
    (_SSM, "StartAutomationExecution"): Way("ran an automation on it", "command"),
    (_SSM, "CreateAssociation"): Way("had State Manager run a document on it", "command"),
    (_SSM, "CreateAssociationBatch"): Way("had State Manager run a document on it", "command"),
    (_SSM, "UpdateAssociation"): Way("had State Manager run a document on it", "command"),
    (_SSM, "RegisterTargetWithMaintenanceWindow"): Way("put it into a maintenance window", "command"),
    (_SSM, "RegisterTaskWithMaintenanceWindow"): Way("put it into a maintenance window", "command"),
    (_SSM, "StartAccessRequest"): Way("asked to enter", "no entry"),
    (_CONNECT, "SendSSHPublicKey"): Way("put a key for SSH on it for a minute", "tunnel only"),
    (_CONNECT, "SendSerialConsoleSSHPublicKey"): Way("entered by the serial console", "not recorded"),
    TUNNEL: Way("opened a tunnel by an Instance Connect Endpoint", "tunnel only"),
    (_EC2, "RunInstances"): Way("started it, with its first script", "first script"),
    (_EC2, "CreateFleet"): Way("started it, with its first script", "first script"),
    (_EC2, "AssociateAddress"): Way("gave it a public address", "no entry"),
    (_BALANCING, "RegisterTargets"): Way("put it behind a load balancer", "no entry"),
    (_BALANCING, "RegisterInstancesWithLoadBalancer"): Way("put it behind a load balancer", "no entry"),
    (_EC2, "AssociateIamInstanceProfile"): Way("gave it a role", "no entry"),
    (_EC2, "ReplaceIamInstanceProfileAssociation"): Way("gave it another role", "no entry"),
    (_EC2, "ModifyInstanceMetadataOptions"): Way("changed its metadata service", "no entry"),
    (_EC2, "CreateImage"): Way("made an image of its disks", "copy"),
    (_EC2, "CreateSnapshot"): Way("made a snapshot of its disk", "copy"),
    (_EC2, "CreateSnapshots"): Way("made snapshots of its disks", "copy"),
    (_EC2, "AttachVolume"): Way("attached a disk to it, or its disk elsewhere", "copy"),
    (_EC2, "DetachVolume"): Way("took a disk off it", "copy"),
    (_EC2, "CreateReplaceRootVolumeTask"): Way("replaced its root disk", "copy"),
    (_EC2, "GetConsoleOutput"): Way("read its console", "looked at"),
    (_EC2, "GetConsoleScreenshot"): Way("took a picture of its console", "looked at"),
    (_EC2, "GetPasswordData"): Way("read its password", "looked at"),
    (_EC2, "StartInstances"): Way("started it again", "no entry"),
    (_EC2, "StopInstances"): Way("stopped it", "no entry"),
    (_EC2, "RebootInstances"): Way("started it anew", "no entry"),
    (_EC2, "TerminateInstances"): Way("ended it", "no entry"),
}
"""By source and name; sessions are told apart by their documents."""
AROUND: Mapping[tuple[str, str], Way] = {
    (_EC2, "AuthorizeSecurityGroupIngress"): Way("opened a port of its security group", "no entry"),
    (_EC2, "ModifySecurityGroupRules"): Way("changed a rule of its security group", "no entry"),
    (_EC2, "ModifyNetworkInterfaceAttribute"): Way("changed its network interface", "no entry"),
    (_EC2, "CreateInstanceConnectEndpoint"): Way("made an Instance Connect Endpoint beside it", "no entry"),
    (_EC2, "CreateVpcPeeringConnection"): Way("joined its network to another", "no entry"),
    (_EC2, "AcceptVpcPeeringConnection"): Way("joined its network to another", "no entry"),
    (_EC2, "CreateTransitGatewayVpcAttachment"): Way("joined its network to another", "no entry"),
    (_EC2, "AttachVpnGateway"): Way("joined its network to another", "no entry"),
}
"""Calls on what a machine stands in, which name that and not the machine."""
BY_ADDRESS: frozenset[tuple[str, str]] = frozenset({TUNNEL, (_BALANCING, "RegisterTargets")})
"""Calls that may name a machine by its address."""
EVERYWHERE: Mapping[tuple[str, str], Way] = {
    (_EC2, "EnableSerialConsoleAccess"): Way("switched the serial console on everywhere", "no entry"),
}
"""Calls that are about every machine of the account in the region."""
KINDS: frozenset[tuple[str, str]] = frozenset({*WAYS, *AROUND, *EVERYWHERE, SESSION, ENDED, ATTRIBUTE})
"""Every call that may be about a machine."""
_TUNNELS = ("AWS-StartSSHSession", "AWS-StartPortForwardingSession")
"""Beginnings of the documents through which Session Manager is only a tunnel."""


def way_of(event: TrailEvent, document: str) -> Way | None:
    """Return what the call did to a machine, None where it is none of these; `document` is our session's."""
    kind = (event.source, event.name)
    if kind == SESSION:
        return session_way(str(event.request.get("documentName") or ""), document)
    if kind == ATTRIBUTE and "userData" in event.request:
        return Way("changed its first script", "first script")
    if kind == ATTRIBUTE and {"groupSet", "groups"} & event.request.keys():
        return Way("gave it other security groups", "no entry")
    if kind == STARTED and _has_key_pair(event.request):
        return Way("started it with a key pair, and its first script", "first script")
    way = {**WAYS, **AROUND, **EVERYWHERE}.get(kind)
    if way is not None and kind == COMMAND:
        return Way(f"sent the command {event.request.get('documentName') or '?'}", way.completeness)
    return way


def session_way(used: str, ours: str) -> Way:
    """Return what a session by that document is; without a name it is AWS's default one."""
    name = used.rpartition("/")[2]
    if name == ours:
        return Way("entered by Session Manager", "recording to come")
    if name.startswith(_TUNNELS):
        return Way(f"opened a tunnel by Session Manager ({name})", "tunnel only")
    return Way(
        f"entered by Session Manager with {name or 'its default document'}, which is not fleetform's",
        "not recorded",
    )


def _has_key_pair(request: Mapping[str, Any]) -> bool:
    """Return whether machines were started with one: EC2's own list of them has it in the trail."""
    listed = request.get("instancesSet")
    items = listed.get("items") if isinstance(listed, Mapping) else None
    asked = [request, *(each for each in items or () if isinstance(each, Mapping))]
    return any(each.get("keyName") for each in asked)
