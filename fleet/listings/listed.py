"""What the listings tell of a thing: its tags, what it says of itself, and what it hangs on."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fleet.listings.things import Look, NotLooked, Thing

Item = Mapping[str, Any]


class Key(NamedTuple):
    """What one thing is known by; two kinds may bear one name."""

    kind: str
    id: str


class Link(NamedTuple):
    """Something that a thing hangs on: where that is ours, so is the thing."""

    how: str
    """The verb between the two: "lies in", "is of"."""
    to: Key


class Says(NamedTuple):
    """What the content of a thing, and not only a tag or a name, says of whose it is."""

    environment: str
    how: str
    """What says so: "its policy names the environment"."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One thing that a listing tells of, whosever it is."""

    thing: Thing
    region: str = ""
    """Where it was listed; "" for what belongs to no region."""
    tags: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    says: Says | None = None
    owner: str = ""
    """The account that owns it, "" where the listing does not tell."""
    texts: tuple[str, ...] = ()
    """What it says of itself beside its tags, by which some tools mark theirs: a description."""
    until: datetime.datetime | None = None
    """Of a schedule or a group: when it says that the lease of its environment ends."""
    holds_data: bool = False
    """Whether something is lost for good with it."""
    comes_along: bool = False
    """Whether it was made with something else, and goes with that by itself."""
    brings: tuple[str, ...] = ()
    """Network interfaces that came with it, and go with it."""

    @property
    def key(self) -> Key:
        """What it is known by."""
        return Key(self.thing.kind, self.thing.id)

    @property
    def name(self) -> str:
        """What it is called; its id where that is its name."""
        return self.thing.name or self.thing.id


@dataclass(frozen=True, kw_only=True)
class Lister:
    """One service's own listing of one kind of thing."""

    title: str
    """What is looked at, in plain words: "EC2 instances"."""
    covers: tuple[str, ...]
    """The kinds (`ec2:instance`) of the tagging API that this listing knows better."""
    look: Callable[[Look], Iterable[Listed | NotLooked]]
    """Yields what is looked for, and what could not be looked at; raises where the listing itself fails."""
    complete: bool = True
    """Whether it sees everything of these kinds, and not only what has a certain name."""
    of_account: bool = False
    """Whether only a look through a whole account asks it: the stacks make none, or it goes with another."""


def links(how: str, kind: str, *ids: str | None) -> tuple[Link, ...]:
    """Return a link to each of the ids that there is."""
    return tuple(Link(how, Key(kind, each)) for each in ids if each)
