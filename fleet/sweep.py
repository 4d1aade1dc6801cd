"""Looking for oneself at what is left of an environment: by tags, and by each service's own listing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from fleet import aws
from fleet.cloud import Cloud
from fleet.listings import budgets, identities, machines, networks, services, stores
from fleet.listings.listed import Listed, Lister
from fleet.listings.things import Look, NotLooked, Thing
from fleet.session import Session
from fleet.terraform_state import StateResource
from stacks import naming

_LISTERS: tuple[Lister, ...] = (
    *machines.LISTERS,
    *networks.LISTERS,
    *stores.EVERYWHERE,
    *stores.LISTERS,
    *identities.EVERYWHERE,
    *services.LISTERS,
    *services.AT_HOME,
    *budgets.EVERYWHERE,
)
LISTERS = tuple(each for each in _LISTERS if not each.of_account)
Seen = TypeVar("Seen")
_TAGGING = "everything with the environment's tag"
_PAUSES = (2.0, 5.0)
"""Seconds before a second and a third look, where something seems left or a service did not answer: listings
lag behind deletions."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that a look found."""

    things: tuple[Thing, ...]
    not_looked: tuple[NotLooked, ...]


@dataclass(frozen=True, kw_only=True)
class Leftovers:
    """What a look found after a teardown, sorted by what it means."""

    left: tuple[Thing, ...]
    kept: tuple[Thing, ...]
    """Of stacks that were kept on purpose."""
    ending: tuple[Thing, ...]
    """What is on its way out and needs nobody."""
    not_looked: tuple[NotLooked, ...]


def sweep(session: Session) -> Sweep:
    """Look at every service, side by side, and return all of the environment's things, each once."""
    look = look_of(session)
    with ThreadPoolExecutor(max_workers=8) as pool:
        tagged = pool.submit(attempt, _TAGGING, lambda: _by_tag(look))
        answers = list(pool.map(lambda each: attempt(each.title, lambda: each.look(look)), LISTERS))
        by_tag = tagged.result()
    things: list[Thing] = []
    missing: list[NotLooked] = []
    known: dict[str, set[str] | None] = {}
    for lister, answer in zip(LISTERS, answers, strict=True):
        found = [each.thing for each in answer if isinstance(each, Listed)]
        unseen = [each for each in answer if isinstance(each, NotLooked)]
        things += found
        missing += unseen
        told = None if lister.complete and not unseen else {thing.id for thing in found}
        known |= dict.fromkeys(lister.covers, told)
    for each in by_tag:
        if isinstance(each, NotLooked):
            missing.append(each)
        elif not is_known(each, known):
            things.append(each)
    return Sweep(things=tuple(dict.fromkeys(things)), not_looked=tuple(missing))


def is_known(tagged: Thing, known: Mapping[str, Collection[str] | None]) -> bool:
    """Return whether a service's own listing has told all about what the tagging API found.

    `known` holds for each kind the ids that the listing found, None where it saw everything of that kind.
    """
    ids = known.get(tagged.kind, ())
    # The name of a log group, or of a parameter, is itself a path.
    resource = tagged.id.split(":", 5)[5]
    names = {_arn_end(tagged.id), resource.partition(":")[2], f"/{resource.partition('/')[2]}"}
    return ids is None or not names.isdisjoint(ids)


def find_leftovers(
    session: Session, kept_stacks: Iterable[str], kept: Iterable[StateResource] = ()
) -> Leftovers:
    """Look until nothing is left that should not be and all was looked at, at most three times.

    Returns what the last look found. What belongs to `kept_stacks` by its tag, or is one of the resources
    in `kept`, is kept on purpose.
    """
    stacks, resources = frozenset(kept_stacks), tuple(kept)
    for pause in (*_PAUSES, 0.0):
        found = sort_found(sweep(session), stacks, resources)
        if not (found.left or found.not_looked) or not pause:
            break
        time.sleep(pause)
    return found


def sort_found(found: Sweep, kept_stacks: Collection[str], kept: Collection[StateResource]) -> Leftovers:
    """Sort what a look found after a teardown by what it means."""

    def is_kept(thing: Thing) -> bool:
        return thing.stack in kept_stacks or any(is_same(thing, resource) for resource in kept)

    ending = tuple(thing for thing in found.things if thing.ends_by_itself)
    staying = [thing for thing in found.things if not thing.ends_by_itself]
    return Leftovers(
        left=tuple(thing for thing in staying if not is_kept(thing)),
        kept=tuple(thing for thing in staying if is_kept(thing)),
        ending=ending,
        not_looked=found.not_looked,
    )


def is_same(thing: Thing, resource: StateResource) -> bool:
    """Return whether Terraform's resource is this thing, by its id: two things may bear one name."""
    if thing.id == resource.id or not thing.id.startswith("arn:"):
        return thing.id == resource.id
    # What only the tagging API found is known by its ARN.
    service = thing.id.split(":")[2]
    return _arn_end(thing.id) == resource.id and resource.kind.startswith(f"aws_{service}_")


def _arn_end(arn: str) -> str:
    """Return the last part of an ARN: what the service itself calls the thing."""
    return re.split("[:/]", arn)[-1]


def look_of(session: Session) -> Look:
    """Return what the listings of an environment take; its clients are made once."""
    return Look(
        environment=session.spec.name,
        organization=session.account.organization,
        region=session.spec.region,
        home_region=session.account.region,
        fleets=tuple(session.spec.fleets),
        client=shared_clients(session.cloud, session.spec.region),
    )


def shared_clients(cloud: Cloud, region: str) -> Callable[..., Any]:
    """Return a maker of clients that makes one per service: making one costs more than asking it.

    They are of the region where none is named beside the service.
    """
    made: dict[tuple[str, str], Any] = {}
    guard = threading.Lock()  # boto3's session must not be used by two threads at once; its clients may

    def client(service: str, elsewhere: str = "") -> Any:
        key = (service, elsewhere or region)
        with guard:
            if key not in made:
                made[key] = aws.client(cloud, *key)
            return made[key]

    return client


def attempt(title: str, look: Callable[[], Iterable[Seen | NotLooked]]) -> list[Seen | NotLooked]:
    """Return what the look finds; the cloud's refusal becomes a statement that nobody looked there."""
    try:
        return list(look())
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return [NotLooked(title=title, why=str(error).splitlines()[0])]


def _by_tag(look: Look) -> list[Thing]:
    """Return what the tagging API knows; `kind` is `service:type`, by which a better listing replaces it."""
    filters = [{"Key": naming.TAG_ENVIRONMENT, "Values": [look.environment]}]
    found = look.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
    )
    return [
        tagged_thing(each["ResourceARN"], {tag["Key"]: tag["Value"] for tag in each["Tags"]})
        for each in found
    ]


def tagged_thing(arn: str, tags: Mapping[str, str]) -> Thing:
    """Return what the tagging API tells of a thing; its kind is `service:type`."""
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    kind = resource.split("/")[0].split(":")[0] if "/" in resource or ":" in resource else ""
    return Thing(
        kind=f"{service}:{kind}",
        id=arn,
        name=tags.get("Name", ""),
        stack=tags.get(naming.TAG_STACK, ""),
        usd_per_hour=None,
    )
