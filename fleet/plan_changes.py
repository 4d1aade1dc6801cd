"""What a plan does, resource by resource, in words: from the plan's JSON, or from the configuration alone.

A plan's JSON costs a start of the provider; what is merely made is told as well by the configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.attributes import AttributeChange, attribute_changes
from fleet.kinds import ROOMS, kind_of, room_of
from fleet.priced import Resource
from fleet.terraform_events import PlannedChange
from fleet.words import loses_data, sentence

NEEDS_VALUES = frozenset({"update", "replace", "delete", "forget"})
"""What a plan does that only its JSON tells in full."""


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """What happens to one resource."""

    address: str
    kind: str
    """Terraform's type."""
    noun: str
    """What one of it is called: "bucket"."""
    room: str
    action: str
    """`create`, `update`, `replace`, `delete`, `import` or `forget`."""
    words: str
    """The change as a sentence."""
    because: str
    """Terraform's reason for a replacement or a deletion, "" where it gives none."""
    attributes: tuple[AttributeChange, ...]
    """What differs, for a change and a replacement."""
    loses_data: bool
    """Whether files, objects or the key that reads them are lost for good."""


def from_configuration(
    stack: str, planned: Iterable[PlannedChange], resources: Sequence[Resource]
) -> tuple[ResourceChange, ...]:
    """Return a plan's changes as the UI's stream has them, described by the synthesized resources."""
    known = {each.address: each for each in resources}
    return _ordered(
        _change(stack, each.address, each.action, known.get(each.address), each.reason, (), resources)
        for each in planned
    )


def from_plan(
    stack: str, plan: Mapping[str, Any], resources: Sequence[Resource]
) -> tuple[ResourceChange, ...]:
    """Return a plan's changes from its JSON (`terraform show -json`), with the synthesized resources."""
    changes = [
        each
        for each in plan.get("resource_changes", ())
        if each.get("mode") == "managed" and action_of(each) not in ("no-op", "read")
    ]
    synthesized = {each.address for each in resources}
    # What goes is described by what it was: the configuration no longer knows it.
    known = [*resources, *(_resource(each) for each in changes if each["address"] not in synthesized)]
    return _ordered(_from_json(stack, each, known) for each in changes)


def action_of(change: Mapping[str, Any]) -> str:
    """Return one word for a change of a plan's JSON, as the UI's stream has it."""
    actions = change["change"]["actions"]
    if sorted(actions) == ["create", "delete"]:
        return "replace"
    if actions == ["no-op"] and change["change"].get("importing"):
        return "import"
    return str(actions[0])


def _resource(change: Mapping[str, Any]) -> Resource:
    """Return a changed resource with the values that it will have, else those that it had."""
    found = change["change"]
    after = {name: value for name, value in (found.get("after") or {}).items() if value is not None}
    return Resource(change["type"], change["name"], {**(found.get("before") or {}), **after})


def _from_json(stack: str, change: Mapping[str, Any], resources: Sequence[Resource]) -> ResourceChange:
    action, address = action_of(change), str(change["address"])
    resource = next((each for each in resources if each.address == address), None) or _resource(change)
    attributes = attribute_changes(change["change"]) if action in ("update", "replace") else ()
    reason = str(change.get("action_reason") or "").replace("_", " ")
    return _change(stack, address, action, resource, reason, attributes, resources)


def _change(
    stack: str,
    address: str,
    action: str,
    resource: Resource | None,
    because: str,
    attributes: tuple[AttributeChange, ...],
    resources: Sequence[Resource],
) -> ResourceChange:
    kind, _, name = address.partition(".")
    found = resource or Resource(kind, name, {})
    return ResourceChange(
        address=address,
        kind=kind,
        noun=kind_of(kind).noun,
        room=room_of(kind, stack),
        action=action,
        words=sentence(action, found, resources),
        because=because.removeprefix("replace because ").removeprefix("delete because "),
        attributes=attributes,
        loses_data=loses_data(action, kind),
    )


def _ordered(changes: Iterable[ResourceChange]) -> tuple[ResourceChange, ...]:
    """Return the changes by room; in each, what is lost comes first."""
    weights = {"delete": 0, "replace": 1, "update": 2}
    return tuple(
        sorted(
            changes,
            key=lambda each: (
                ROOMS.index(each.room),
                not each.loses_data,
                weights.get(each.action, 3),
                each.noun,
                each.address,
            ),
        )
    )
