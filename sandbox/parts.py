"""What an extension may use of the embedded cloud, beside moto."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.faults import Faults
from sandbox.nodes import Nodes


@dataclass(frozen=True)
class Parts:
    """Handed to every extension's `install`."""

    nodes: Nodes
    faults: Faults


def store(backend: Any, name: str) -> dict[str, Any]:
    """Return a dictionary of our own on one of moto's backends: one per account and region."""
    kept: dict[str, Any] = backend.__dict__.setdefault(f"fleetform_{name}", {})
    return kept


def aws_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags in the shape of EC2's answers."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def matches(filters: dict[str, list[str]], facts: dict[str, str], tags: dict[str, str]) -> bool:
    """Return whether a resource passes EC2's filters: its facts by filter name, `tag:NAME`, `tag-key`."""

    def values(name: str) -> Iterator[str]:
        if name.startswith("tag:"):
            yield from [tags[name[4:]]] if name[4:] in tags else []
        elif name == "tag-key":
            yield from tags
        elif name in facts:
            yield facts[name]

    return all(set(wanted) & set(values(name)) for name, wanted in filters.items())
