"""What a look through a whole account finds: things with their tags, what each says, and what it hangs on."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fleet.sweepers.things import Look, NotLooked, Thing, name_of, stack_of, tags_of

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
    """One thing of the account, whosever it is."""

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
    """One service's own listing of all that it has of one kind."""

    title: str
    """What is looked at, in plain words: "EC2 instances"."""
    covers: tuple[str, ...]
    """The kinds (`ec2:instance`) of the tagging API that this listing knows better."""
    look: Callable[[Look], Iterable[Listed | NotLooked]]
    complete: bool = True
    """Whether it sees everything of these kinds, and not only what has a certain name."""


def every(look: Look, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Item]:
    """Yield the items under `key` of all that an operation answers, page by page where it has pages."""
    client = look.client(service)
    if client.can_paginate(operation):
        pages = client.get_paginator(operation).paginate(**arguments)
    else:
        pages = [getattr(client, operation)(**arguments)]
    for page in pages:
        yield from page.get(key, ())


def links(how: str, kind: str, *ids: str | None) -> tuple[Link, ...]:
    """Return a link to each of the ids that there is."""
    return tuple(Link(how, Key(kind, each)) for each in ids if each)


def none(item: Item) -> None:
    """Return nothing: the default of what a kind may tell."""


def no_links(item: Item) -> tuple[Link, ...]:
    """Return no link: the thing hangs on nothing that its listing tells."""
    return ()


def no_texts(item: Item) -> tuple[str, ...]:
    """Return no text."""
    return ()


def no_ids(item: Item) -> tuple[str, ...]:
    """Return no id."""
    return ()


def no_note(item: Item) -> str:
    """Return no note."""
    return ""


def free(item: Item) -> float | None:
    """Return the price of what costs nothing by itself."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of thing that one call lists with all that is to be known of it."""

    kind: str
    title: str
    covers: tuple[str, ...]
    service: str
    operation: str
    key: str
    """Under which the answer has the items."""
    identity: str
    """The field of an item that is its id."""
    named: str = ""
    """The field that is its name; "" for its Name tag."""
    created: str = ""
    """The field that says when it was made."""
    links: Callable[[Item], tuple[Link, ...]] = no_links
    costs: Callable[[Item], float | None] = free
    """US dollars an hour at list price, None where that depends on use or the catalog lacks it."""
    note: Callable[[Item], str] = no_note
    leave_out: Callable[[Item], object] = none
    """Whether an item is none, for it is gone or goes with what it belongs to."""
    comes_along: Callable[[Item], object] = none
    brings: Callable[[Item], tuple[str, ...]] = no_ids
    until: Callable[[Item], datetime.datetime | None] = none
    texts: Callable[[Item], tuple[str, ...]] = no_texts
    holds_data: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inside: str = ""
    """The field with the items proper, where the answer groups them."""

    def items(self, look: Look) -> Iterator[Item]:
        """Yield every item of the account in the region that is one."""
        for each in every(look, self.service, self.operation, self.key, **self.arguments):
            for item in each[self.inside] if self.inside else (each,):
                if not self.leave_out(item):
                    yield item

    def listed(self, look: Look, item: Item, says: Says | None = None) -> Listed:
        """Return one item as it is listed."""
        return Listed(
            thing=Thing(
                kind=self.kind,
                id=str(item[self.identity]),
                name=str(item.get(self.named, "")) if self.named else name_of(item),
                stack=stack_of(item),
                usd_per_hour=self.costs(item),
                created=item.get(self.created) if self.created else None,
                note=self.note(item),
            ),
            region=look.region,
            tags=tags_of(item),
            links=self.links(item),
            says=says,
            owner=str(item.get("OwnerId", "")),
            texts=self.texts(item),
            until=self.until(item),
            holds_data=self.holds_data,
            comes_along=bool(self.comes_along(item)),
            brings=self.brings(item),
        )

    def look(self, look: Look) -> Iterator[Listed]:
        """Yield everything of the kind."""
        for item in self.items(look):
            yield self.listed(look, item)

    @property
    def lister(self) -> Lister:
        """The listing that this row stands for."""
        return Lister(title=self.title, covers=self.covers, look=self.look)
