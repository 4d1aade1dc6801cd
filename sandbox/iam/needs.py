"""What a call needs to be allowed: IAM actions on resources, as the tables of `services/` have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.iam.requests import ApiRequest

Keys = Mapping[str, Sequence[str]]
"""Condition keys with their values, the names as the service authorization reference writes them."""
EVERYTHING = "*"
"""The resource of an action that knows none."""


@dataclass(frozen=True)
class Need:
    """One action on one resource that must be allowed."""

    action: str
    """With its service: `s3:GetObject`."""
    resource: str
    """An ARN, or `*`."""
    keys: Keys = field(default_factory=dict)
    """Condition keys of this need alone."""
    tags: Mapping[str, str] | None = None
    """The tags that the call sets on this resource; None for those of the whole call."""
    checks: Mapping[str, Need] = field(default_factory=dict)
    """Condition keys that say whether another need is met, `true` or `false`."""


Resources = Callable[[ApiRequest], Sequence[str]]
More = Callable[[ApiRequest], Sequence[Need]]


def anything(request: ApiRequest) -> Sequence[str]:
    """Return the resource of an action that cannot be narrowed to resources."""
    return [EVERYTHING]


def at(service: str, *templates: str, region: str | None = None, account: str | None = None) -> Resources:
    """Return a function that fills the templates of ARNs' last parts: `at("sqs", "{QueueName}")`.

    A value that is an ARN already stands for the whole resource.
    """

    def resources(request: ApiRequest) -> Sequence[str]:
        found = []
        for template in templates:
            for text in request.fill(template):
                given = text.find("arn:")
                found.append(
                    text[given:] if given >= 0 else request.arn(service, text, region=region, account=account)
                )
        return found

    return resources


@dataclass(frozen=True)
class Rule:
    """What one action of an API needs."""

    resources: Resources
    actions: tuple[str, ...] = ()
    """The IAM actions, without their service; none for the API action's own name."""
    more: More | None = None
    """Further needs (`iam:PassRole`, a key's use)."""
    keys: Callable[[ApiRequest], Keys] | None = None


@dataclass(frozen=True)
class Service:
    """One service's table."""

    prefix: str
    """Of its IAM actions (`elasticfilesystem`)."""
    rules: Mapping[str, Rule]
    default: Rule = field(default_factory=lambda: Rule(anything))
    """For every action that the table does not name."""
    keys: Callable[[ApiRequest], Keys] | None = None
    """Condition keys of the service that every call has."""

    def needs(self, request: ApiRequest) -> list[Need]:
        """Return everything that the call needs."""
        rule = self.rules.get(request.action, self.default)
        actions = rule.actions or (request.action,)
        keys = {
            **(self.keys(request) if self.keys else {}),
            **(rule.keys(request) if rule.keys else {}),
        }
        found = [
            Need(f"{self.prefix}:{action}", resource, keys)
            for resource in rule.resources(request)
            for action in actions
        ]
        return [*found, *(rule.more(request) if rule.more else ())]


def rules(resources: Resources, *actions: str, more: More | None = None) -> dict[str, Rule]:
    """Return one rule for several actions."""
    return {action: Rule(resources, more=more) for action in actions}


def nothing(request: ApiRequest) -> Sequence[str]:
    """Return no resource: the action is allowed to everybody, or its further needs say it all."""
    return []


def pass_role(path: str, service: str) -> More:
    """Return the need for `iam:PassRole` on the role that a parameter names, if it names one."""

    def more(request: ApiRequest) -> Sequence[Need]:
        return [
            Need("iam:PassRole", role, {"iam:PassedToService": [f"{service}.amazonaws.com"]})
            for role in request.all(path)
            if role
        ]

    return more
