"""What a look at a cloud finds: things with id, kind and cost, and who each belongs to."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import aws
from stacks import naming
from stacks.catalog import load_catalog, load_other_prices


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One thing that exists in the cloud and belongs to the environment."""

    kind: str
    """In plain words: "EC2 instance"."""
    id: str
    name: str = ""
    stack: str = ""
    """The stack that its tags name, "" where it has none."""
    usd_per_hour: float | None = 0.0
    """List price of its standing there; None where that depends on use or is not known."""
    created: datetime.datetime | None = None
    note: str = ""
    """What a reader should know beside ("will be gone on 2026-12-01")."""
    ends_by_itself: bool = False
    """Whether it is on its way out and needs nobody (a key that is pending deletion)."""


@dataclass(frozen=True, kw_only=True)
class NotLooked:
    """Something that could not be looked at: nothing can be said about what is left there."""

    title: str
    why: str


@dataclass(frozen=True)
class Look:
    """What to look for in one region of one cloud: what one environment has, or everything of the account."""

    environment: str
    """Its name; "" for everything, whosever it is."""
    organization: str
    region: str
    fleets: tuple[str, ...]
    """The names of the environment's GPU fleets."""
    client: Callable[..., Any]
    """Returns a boto3 client for a service, in the environment's region where none is named beside it."""
    home_region: str = ""
    """The account's region, where the lease's things are; "" for the environment's own."""

    def tag_filter(self) -> list[dict[str, Any]]:
        """Return EC2's filter for this environment's tag."""
        return [{"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [self.environment]}]

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        """Yield the items under `key` of all that an operation answers, page by page where it has pages."""
        client = self.client(service)
        if client.can_paginate(operation):
            pages = client.get_paginator(operation).paginate(**arguments)
        else:
            pages = [getattr(client, operation)(**arguments)]
        for page in pages:
            yield from page.get(key, ())

    def wants(self, name: str, tags: Mapping[str, str], made: Collection[str] = ()) -> bool:
        """Return whether something is looked for: an environment's by its tag, else by its whole name.

        `made` are the names that our stacks give to such things. One that merely begins like the
        environment may be anybody's in a shared account.
        """
        tagged = tags.get(naming.TAG_ENVIRONMENT)
        return not self.environment or (tagged == self.environment if tagged else name in made)


def is_gone(error: Exception) -> bool:
    """Return whether a call about one thing failed because that thing no longer exists."""
    code = aws.error_code(error)  # a bucket without tags is a bucket
    return code != "NoSuchTagSet" and ("NoSuch" in code or "NotFound" in code or code == "InvalidResourceId")


def ask(operation: Callable[..., Mapping[str, Any]], **arguments: Any) -> Mapping[str, Any] | None:
    """Return what a call answers about one listed thing, or None where the thing is gone.

    Listings of S3 and IAM go on showing what was just deleted.
    """
    try:
        return operation(**arguments)
    except Exception as error:
        if not is_gone(error):
            raise
        return None


def tags_of(
    item: Mapping[str, Any], field: str = "Tags", key: str = "Key", value: str = "Value"
) -> dict[str, str]:
    """Return an item's tags as a mapping; those of a network interface lie under another name."""
    found = item.get(field) or (item.get("TagSet") if field == "Tags" else None)
    return {tag[key]: tag[value] for tag in found or ()}


def stack_of(item: Mapping[str, Any]) -> str:
    """Return the stack that an item's tags name, or ""."""
    return tags_of(item).get(naming.TAG_STACK, "")


def name_of(item: Mapping[str, Any]) -> str:
    """Return an item's Name tag, or ""."""
    return tags_of(item).get("Name", "")


def instance_price(instance_type: str) -> float | None:
    """Return the hourly list price of an instance type, or None where the catalog lacks it."""
    known = load_catalog().get(instance_type)
    return known.price_usd_per_hour if known else None


def price(name: str, amount: float = 1.0) -> float | None:
    """Return what `amount` of a thing costs an hour, or None where the catalog lacks it."""
    known = load_other_prices().get(name)
    return known.usd_per_hour(amount) if known else None
