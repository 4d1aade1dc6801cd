"""Looking for oneself at what is left of an environment: by tags, and by each service's own listing."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fleet import aws
from fleet.session import Session
from fleet.sweepers import compute, network, services, storage
from fleet.sweepers.things import Look, Sweeper, Thing
from fleet.terraform_state import StateResource
from stacks import naming

SWEEPERS: tuple[Sweeper, ...] = (
    *compute.SWEEPERS,
    *network.SWEEPERS,
    *storage.SWEEPERS,
    *services.SWEEPERS,
)
_TAGGING = "everything with the environment's tag"
_PAUSES = (2.0, 5.0)
"""Seconds before a second and a third look where something seems left: listings lag behind deletions."""


@dataclass(frozen=True, kw_only=True)
class NotLooked:
    """A service that could not be listed: nothing can be said about what is left there."""

    title: str
    why: str


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
    look = _look(session)
    with ThreadPoolExecutor(max_workers=8) as pool:
        tagged = pool.submit(_attempt, _TAGGING, lambda: _by_tag(look))
        answers = list(pool.map(lambda each: _attempt(each.title, lambda: list(each.look(look))), SWEEPERS))
        by_tag = tagged.result()
    things: list[Thing] = []
    missing: list[NotLooked] = []
    covered: list[str] = []
    for sweeper, answer in zip(SWEEPERS, answers, strict=True):
        if isinstance(answer, NotLooked):
            missing.append(answer)
        else:
            things += answer
            covered += sweeper.covers
    if isinstance(by_tag, NotLooked):
        missing.append(by_tag)
    else:
        things += [thing for thing in by_tag if thing.kind not in covered]
    return Sweep(things=tuple(dict.fromkeys(things)), not_looked=tuple(missing))


def find_leftovers(
    session: Session, kept_stacks: Iterable[str], kept: Iterable[StateResource] = ()
) -> Leftovers:
    """Look until nothing is left that should not be, at most three times; return what then is.

    What belongs to `kept_stacks` by its tag, or is one of the resources in `kept`, is kept on purpose.
    """
    stacks, resources = frozenset(kept_stacks), tuple(kept)
    for pause in (*_PAUSES, 0.0):
        found = sort_found(sweep(session), stacks, resources)
        if not found.left or not pause:
            break
        time.sleep(pause)
    return found


def sort_found(found: Sweep, kept_stacks: Collection[str], kept: Collection[StateResource]) -> Leftovers:
    """Sort what a look found after a teardown by what it means."""

    def is_kept(thing: Thing) -> bool:
        return thing.stack in kept_stacks or any(_same(thing, resource) for resource in kept)

    ending = tuple(thing for thing in found.things if thing.ends_by_itself)
    staying = [thing for thing in found.things if not thing.ends_by_itself]
    return Leftovers(
        left=tuple(thing for thing in staying if not is_kept(thing)),
        kept=tuple(thing for thing in staying if is_kept(thing)),
        ending=ending,
        not_looked=found.not_looked,
    )


def _same(thing: Thing, resource: StateResource) -> bool:
    """Return whether Terraform's resource is this thing, by its id: two things may bear one name."""
    if thing.id == resource.id or not thing.id.startswith("arn:"):
        return thing.id == resource.id
    # What only the tagging API found is known by its ARN.
    service, identity = thing.id.split(":")[2], re.split("[:/]", thing.id)[-1]
    return identity == resource.id and resource.kind.startswith(f"aws_{service}_")


def _look(session: Session) -> Look:
    return Look(
        environment=session.spec.name,
        organization=session.account.organization,
        region=session.spec.region,
        fleets=tuple(session.spec.fleets),
        client=_shared_clients(session),
    )


def _shared_clients(session: Session) -> Callable[[str], Any]:
    """Return a maker of clients that makes one per service: making one costs more than asking it."""
    made: dict[str, Any] = {}
    guard = threading.Lock()  # boto3's session must not be used by two threads at once; its clients may

    def client(service: str) -> Any:
        with guard:
            if service not in made:
                made[service] = session.client(service)
            return made[service]

    return client


def _attempt(title: str, work: Any) -> list[Thing] | NotLooked:
    """Return what the work finds; the cloud's refusal becomes a statement that nobody looked there."""
    try:
        return list(work())
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return NotLooked(title=title, why=str(error).splitlines()[0])


def _by_tag(look: Look) -> list[Thing]:
    """Return what the tagging API knows; `kind` is `service:type`, by which a better listing replaces it."""
    filters = [{"Key": naming.TAG_ENVIRONMENT, "Values": [look.environment]}]
    found = look.pages(
        "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
    )
    return [
        _tagged(each["ResourceARN"], {tag["Key"]: tag["Value"] for tag in each["Tags"]}) for each in found
    ]


def _tagged(arn: str, tags: dict[str, str]) -> Thing:
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    kind = resource.split("/")[0].split(":")[0] if "/" in resource or ":" in resource else ""
    return Thing(
        kind=f"{service}:{kind}",
        id=arn,
        name=tags.get("Name", ""),
        stack=tags.get(naming.TAG_STACK, ""),
        usd_per_hour=None,
    )
