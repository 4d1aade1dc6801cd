"""Every row of the entry-path table as somebody tries it in the embedded cloud, and what the timeline says.

`operator` is a person in a role of fleetform's that may do anything else, with the rights to enter and the
deny list as the stacks make them; `owner` is the account itself, whom no policy keeps out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stacks import naming
from stacks.environment_people import entry_statements
from stacks.place import Place
from tests.account_policies import resolved, synthesized
from tests.environment_parts import ORGANIZATION, REGION
from tests.iam_helpers import ACCOUNT, assume, make_role, service, trust
from tests.record_lab import ENVIRONMENT, RecordLab
from tests.sandbox_helpers import api

OPERATOR = naming.environment_role(ENVIRONMENT, naming.ROLE_OPERATOR, REGION)
PERSON = "ann"
ELSEWHERE = "203.0.113.9"
"""An address of nobody's (RFC 5737)."""
Who = Literal["operator", "owner"]
Clients = Callable[[str], Any]
Act = Callable[[RecordLab, Clients], object]


@dataclass(frozen=True)
class Planted:
    """A call that the embedded cloud does not have, as CloudTrail writes it."""

    source: str
    name: str
    asked: Mapping[str, Any]
    caller: str = f"arn:aws:iam::{ACCOUNT}:root"
    answered: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Way:
    """One attempt, and the row that it has to make."""

    path: str
    """Its row in the table: a key of `MACHINE_PATHS` or `ENVIRONMENT_PATHS`."""
    who: Who
    what: str
    """What the timeline says that was done."""
    found: str
    """How much is known of it, as the timeline says: `refused` for what was not let in."""
    act: Act
    """Tries it; may return what has to be planted."""
    evidence: str = "trail"
    """What kind of evidence bears the row out before any other."""

    def __str__(self) -> str:
        return f"{self.path}-{self.who}-{self.what.replace(' ', '-')}"


def clients_of(lab: RecordLab, who: Who) -> Clients:
    """Return what makes that one's clients."""
    if who == "owner":
        return lambda name: api(lab.cloud, name)
    role = f"arn:aws:iam::{ACCOUNT}:role/{OPERATOR}"
    cloud = assume(lab.cloud, role, PERSON, SourceIdentity=PERSON)
    return lambda name: service(cloud, name)


def make_operator(lab: RecordLab) -> None:
    """Make the role; give the machine its team's tag, by which people are let in, and a security group."""
    spec, account = lab.session.spec, lab.session.account
    place = Place(partition="aws", region=REGION, account_id=ACCOUNT)
    enters = json.loads(json.dumps(entry_statements(account, spec, place)).replace("$${", "${"))
    rest = {"Effect": "Allow", "NotAction": "ssm:StartSession", "Resource": "*"}
    trusted = trust(actions=["sts:AssumeRole", "sts:SetSourceIdentity"])
    make_role(lab.cloud, OPERATOR, *enters, rest, trusts=trusted)
    deny_list = synthesized()["resource"]["aws_iam_policy"]["deny_entry"]["policy"]
    denied = resolved(deny_list).replace("acme-ai", ORGANIZATION)
    api(lab.cloud, "iam").put_role_policy(RoleName=OPERATOR, PolicyName="deny-entry", PolicyDocument=denied)
    ec2 = api(lab.cloud, "ec2")
    tags = [{"Key": naming.TAG_TEAM, "Value": spec.team}]
    ec2.create_tags(Resources=[lab.machine], Tags=tags)
    disks = [each["Ebs"]["VolumeId"] for each in described(lab)["BlockDeviceMappings"]]
    ours = [{"Key": naming.TAG_ENVIRONMENT, "Value": ENVIRONMENT}]
    ec2.create_tags(Resources=disks, Tags=ours)  # as a launch template of the stacks puts it on
    group = ec2.create_security_group(
        GroupName="ways-in", Description="the machine's", VpcId=described(lab)["VpcId"]
    )["GroupId"]
    ec2.modify_instance_attribute(InstanceId=lab.machine, Groups=[group])


def only_owner(path: str, what: str, found: str, act: Act, evidence: str = "trail") -> Iterator[Way]:
    """Yield a way that the account itself takes."""
    yield Way(path, "owner", what, found, act, evidence)


def nobody_else(path: str, what: str, found: str, act: Act) -> Iterator[Way]:
    """Yield a way that is refused to the person, and that the account itself takes."""
    yield Way(path, "operator", what, "refused", act)
    yield Way(path, "owner", what, found, act)


def both(path: str, what: str, found: str, act: Act) -> Iterator[Way]:
    """Yield a way that the person takes, and the account itself."""
    yield Way(path, "operator", what, found, act)
    yield Way(path, "owner", what, found, act)


def described(lab: RecordLab) -> dict[str, Any]:
    """Return the machine as EC2 describes it."""
    answer = api(lab.cloud, "ec2").describe_instances(InstanceIds=[lab.machine])
    found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return found
