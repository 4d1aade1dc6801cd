"""What an extension may use of the embedded cloud, beside moto."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.clock import Clock
from sandbox.faults import Faults
from sandbox.functions import Functions
from sandbox.nodes import Nodes
from sandbox.store import store as store
from sandbox.witness import Witness

Pages = dict[tuple[str, str], Callable[[bytes], object]]
"""What `/_sandbox/` answers: method and name -> a function from the body to what is sent as JSON."""


@dataclass(frozen=True)
class Parts:
    """Handed to every extension's `install`."""

    nodes: Nodes
    faults: Faults
    clock: Clock
    functions: Functions
    turn: threading.Lock
    """Held while moto answers; who looks into its stores from elsewhere takes it."""
    pages: Pages
    """Pages of `/_sandbox/` that extensions add."""
    witnesses: list[Witness]
    """Told of each call; extensions add theirs."""

    @contextmanager
    def out_of_turn(self) -> Iterator[None]:
        """Let others be answered while the call that is being answered waits for something."""
        self.turn.release()
        try:
            yield
        finally:
            self.turn.acquire()


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
