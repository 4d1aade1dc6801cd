"""One kind of thing that one call lists with all that is to be known of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.listings.listed import Item, Key, Link, Listed, Lister
from fleet.listings.names import stack_names
from fleet.listings.things import Look, Thing, name_of, stack_of, tags_of


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


Filters = Sequence[Mapping[str, Any]]
"""What EC2's listings take to tell of some things alone."""


@dataclass(frozen=True)
class Within:
    """A kind of thing that others lie in: what lies in an environment's own is the environment's."""

    kind: str
    filter: str
    """What EC2's listing calls it."""
    operation: str
    key: str
    identity: str

    def own(self, look: Look) -> dict[str, str]:
        """Return those that have the environment's tag, and the stack that each belongs to."""
        found = look.pages("ec2", self.operation, self.key, Filters=look.tag_filter())
        return {str(each[self.identity]): stack_of(each) for each in found if look.wants("", tags_of(each))}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of thing, and how it is listed."""

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
    by_tag: bool = False
    """Whether the call takes EC2's filter for a tag."""
    within: tuple[Within, ...] = ()
    """What an environment's thing may lie in without a tag of its own."""

    def items(self, look: Look, filters: Filters = ()) -> Iterator[Item]:
        """Yield every item of the account in the region that is one, or those that pass EC2's filters."""
        arguments = dict(self.arguments)
        if filters:
            arguments["Filters"] = [*arguments.get("Filters", ()), *filters]
        for each in look.pages(self.service, self.operation, self.key, **arguments):
            for item in each[self.inside] if self.inside else (each,):
                if not self.leave_out(item):
                    yield item

    def listed(self, look: Look, item: Item) -> Listed:
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
            owner=str(item.get("OwnerId", "")),
            texts=self.texts(item),
            until=self.until(item),
            holds_data=self.holds_data,
            comes_along=bool(self.comes_along(item)),
            brings=self.brings(item),
        )

    def look(self, look: Look) -> Iterator[Listed]:
        """Yield everything of the kind that is looked for."""
        if look.environment:
            yield from self._own(look)
        else:
            for item in self.items(look):
                yield self.listed(look, item)

    def _own(self, look: Look) -> Iterator[Listed]:
        """Yield what has the environment's tag, or lies in something that has, each once."""
        places: dict[Key, str] = {}
        asked: list[Filters] = [look.tag_filter() if self.by_tag else ()]
        for each in self.within:
            own = each.own(look)
            places |= {Key(each.kind, identity): stack for identity, stack in own.items()}
            if own and self.by_tag:
                asked.append([{"Name": each.filter, "Values": list(own)}])
        found = {item[self.identity]: item for filters in asked for item in self.items(look, filters)}
        made = stack_names(look, self.kind)
        for item in found.values():
            listed = self.listed(look, item)
            inside = next((places[link.to] for link in listed.links if link.to in places), None)
            # Not every cloud minds every filter, and what is another's must never be taken for ours.
            if inside is not None or look.wants(listed.name, listed.tags, made):
                stack = listed.thing.stack or inside or ""
                yield replace(listed, thing=replace(listed.thing, stack=stack))

    @property
    def lister(self) -> Lister:
        """The listing that this row stands for."""
        return Lister(title=self.title, covers=self.covers, look=self.look)
