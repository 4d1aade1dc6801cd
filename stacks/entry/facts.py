"""What the entry-path table is made from: the JSON of three stacks, with its references followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

_REFERENCE = re.compile(r"^\$\{((?:data\.)?[a-z0-9_]+\.[A-Za-z0-9_-]+)[.\[][^{}]*\}$")
_REMOTE = re.compile(r"^\$\{data\.terraform_remote_state\.[A-Za-z0-9_-]+\.outputs\.([A-Za-z0-9_-]+)\}$")


@dataclass(frozen=True)
class Thing:
    """One resource."""

    stack: str
    """`account`, `base` or `fleet`."""
    kind: str
    name: str
    body: Mapping[str, Any]

    @property
    def address(self) -> str:
        """Its address in its stack, `aws_vpc.main`."""
        return f"{self.kind}.{self.name}"

    def at(self, attribute: str) -> str:
        """Return the place of one of its attributes, `base: aws_vpc.main.cidr_block`."""
        return f"{self.stack}: {self.address}.{attribute}" if attribute else f"{self.stack}: {self.address}"


@dataclass(frozen=True)
class Facts:
    """Three stacks as `cdk.tf.json` holds them; nothing else is looked at."""

    account: Mapping[str, Any]
    base: Mapping[str, Any]
    fleet: Mapping[str, Any]
    trail_wanted: bool
    """Whether the account's file asks for a trail; without one much is not recorded, and rightly so."""

    def things(self, *kinds: str, account: bool = False) -> list[Thing]:
        """Return the environment's resources of these kinds (all, where none is named), or the account's."""
        stacks = {"account": self.account} if account else {"base": self.base, "fleet": self.fleet}
        return [
            Thing(stack, kind, name, body)
            for stack, content in stacks.items()
            for kind, named in content.get("resource", {}).items()
            if not kinds or kind in kinds
            for name, body in named.items()
        ]

    def everything(self, *kinds: str) -> list[Thing]:
        """Return the resources of these kinds in all three stacks."""
        return [*self.things(*kinds, account=True), *self.things(*kinds)]

    def target(self, reference: object) -> str:
        """Return the address that a reference leads to, through the base's outputs too; "" for none."""
        text = str(reference)
        if remote := _REMOTE.match(text):
            output = self.base.get("output", {}).get(remote[1], {})
            text = str(output.get("value", ""))
        found = _REFERENCE.match(text)
        return found[1] if found else ""

    @property
    def same_region(self) -> bool:
        """Whether the environment stands in the account's region."""
        return region_of(self.account) == region_of(self.base)

    @cached_property
    def templates(self) -> list[Thing]:
        """The launch templates, one a kind of machine."""
        return self.things("aws_launch_template")

    def groups_of(self, template: Thing) -> set[str]:
        """Return the addresses of the security groups of a kind of machine, "" for one that is not known."""
        interfaces = listed(template.body.get("network_interfaces"))
        named = [group for each in interfaces for group in listed(each.get("security_groups"))]
        named += listed(template.body.get("vpc_security_group_ids"))
        if not named or not all(listed(each.get("security_groups")) for each in interfaces):
            return {""}  # of the VPC's default group
        return {self.target(group) for group in named}


def region_of(stack: Mapping[str, Any]) -> str:
    """Return the region of a stack's own provider."""
    providers = listed(stack["provider"]["aws"])
    return next(str(each["region"]) for each in providers if "alias" not in each)


def listed(value: Any) -> list[Any]:
    """Return what Terraform takes as one or many as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def is_true(value: object) -> bool:
    """Return whether Terraform takes the value as true."""
    return value is True or value == "true"


def statements(document: object) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a policy document; none where it is no text that can be read."""
    try:
        policy = json.loads(str(document))
    except ValueError:
        return
    yield from listed(policy.get("Statement"))


def covers(statement: Mapping[str, Any], action: str) -> bool:
    """Return whether the statement is about that action."""
    if "NotAction" in statement:
        return not any(fnmatchcase(action.lower(), each.lower()) for each in listed(statement["NotAction"]))
    return any(fnmatchcase(action.lower(), each.lower()) for each in listed(statement.get("Action")))
