"""What differs between two values of a resource: flat paths, old and new, shortened, nothing secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 64
"""Characters of a value that are shown; a longer one is cut, with its length."""
SENSITIVE = "(sensitive)"
UNKNOWN = "(known after the apply)"
NOTHING = "(nothing)"
_SILENT = frozenset({"id", "arn"})
"""Attributes that merely follow from others that are shown."""


@dataclass(frozen=True, kw_only=True)
class AttributeChange:
    """One attribute that differs."""

    path: str
    """Where it is: `block_device_mappings.0.ebs.0.volume_size`; inside a JSON text too."""
    old: str
    new: str
    replaces: bool = False
    """Whether the resource can't be changed in this and is made anew."""

    def __str__(self) -> str:
        return f"{self.path}: {self.old} -> {self.new}" + (" (only by a new one)" if self.replaces else "")


def attribute_changes(change: Mapping[str, Any]) -> tuple[AttributeChange, ...]:
    """Return what differs in one `change` of a plan's JSON, what forces a replacement first.

    What the provider marks as sensitive is never shown, nor what the apply alone will know. Terraform's many
    ways to write nothing (null, "", an empty list or block) are one.
    """
    before = dict(_leaves(change.get("before")))
    after = dict(_leaves(change.get("after")))
    unknown = {path for path, value in _leaves(change.get("after_unknown")) if value is True}
    hidden = _hidden(change.get("before_sensitive")) | _hidden(change.get("after_sensitive"))
    forcing = [".".join(map(str, path)) for path in change.get("replace_paths", ())]
    found: list[AttributeChange] = []
    follows: list[AttributeChange] = []
    for path in sorted({*before, *after, *unknown}):
        is_unknown = any(_within(path, each) for each in unknown)
        old, new = before.get(path), after.get(path)
        same = old == new or (not old and not new)  # null, false, 0 and "" all say nothing where one is null
        if (same and not is_unknown) or path in _SILENT or _follows(path, before, after):
            continue
        forces = any(_within(path, each) for each in forcing)
        secret = any(_within(path, each) for each in hidden)
        one = AttributeChange(
            path=path,
            old=SENSITIVE if secret else shorten(old),
            new=SENSITIVE if secret else UNKNOWN if is_unknown else shorten(new),
            replaces=forces,
        )
        (follows if is_unknown and not forces else found).append(one)
    # What is computed merely follows from what is shown, unless there is nothing else to show.
    return tuple(sorted(found or follows, key=lambda each: (not each.replaces, each.path)))


def shorten(value: object) -> str:
    """Return a value as text for one line, cut with its length where it is long."""
    if value is None:
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 24]}... ({len(text)} characters)"


def flat(value: object) -> dict[str, Any]:
    """Return a value's leaves by their paths, without what is nothing; a JSON text counts as what it says."""
    return dict(_leaves(value))


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    value = _parsed(value)
    if isinstance(value, Mapping):
        for key in value:
            yield from _leaves(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{path}.{index}")
    elif value is not None and value != "":
        yield path, value


def _parsed(value: object) -> object:
    """Return what a JSON document in a text says, anything else as it is."""
    if isinstance(value, str) and value[:1] in "{[" and len(value) > 1:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _hidden(mask: object) -> set[str]:
    """Return the paths that a mask of sensitive values marks; "" marks the whole resource."""
    if mask is True:
        return {""}
    return {path for path, value in _leaves(mask) if value is True}


def _within(path: str, outer: str) -> bool:
    return not outer or path == outer or path.startswith(f"{outer}.")


def _follows(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether a tag merely repeats what is told of it elsewhere.

    `tags_all` repeats `tags`. Where the default tags change, the provider plans them out of `tags`,
    though the thing keeps them: there `tags_all` alone says what comes.
    """
    head, _, rest = path.partition(".")
    own, every = f"tags.{rest}", f"tags_all.{rest}"
    if head == "tags":
        return own not in after and every in after
    repeats = before.get(own) != after.get(own) and after.get(own) == after.get(every)
    return head == "tags_all" and repeats
