"""Deleting many things: in the order in which they hang on each other, again until they are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fleet import aws
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.listings.things import Thing, is_gone
from fleet.orphans.removals import REMOVALS, Clients, RefusedPartlyError, order_of
from fleet.sweep import shared_clients

SECONDS = 15 * 60.0
"""How long a deletion is tried: what machines and file systems hold takes minutes to be let go."""
_PAUSE, _LONGEST_PAUSE = 1.0, 20.0
_FINAL = ("AccessDenied", "UnauthorizedOperation", "AuthorizationError", "InvalidParameter")
"""Codes, or parts of them, of refusals that no repetition mends."""
_AT_HOME = frozenset({"schedule", "schedule group", "SNS topic"})
"""Kinds that stand in the account's region, wherever their environment is."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """One thing to delete, and the clients of where it is."""

    thing: Thing
    clients: Clients
    comes_along: bool = False
    """Whether it goes with something else by itself, and refuses to be deleted until then."""


def delete_all(
    targets: Sequence[Target], tell: Tell, *, seconds: float = SECONDS, pause: float = _PAUSE
) -> Iterator[tuple[Target, str]]:
    """Delete the things; yield each as soon as its fate is known, with why it did not go, "" where it did.

    What something else still holds is tried again, with growing pauses, until `seconds` are over.
    """
    deadline = time.monotonic() + seconds
    waiting = sorted(targets, key=lambda target: order_of(target.thing.kind))
    while waiting:
        later: list[tuple[Target, str]] = []
        for each in waiting:
            why, final = _try(each)
            if not why or final or time.monotonic() > deadline:
                yield each, why
            else:
                later.append((each, why))
        if later:
            first, why = later[0]
            tell(
                f"waiting for {len(later)}, as {first.thing.kind} {first.thing.name or first.thing.id}: {why}"
            )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        waiting = [each for each, _ in later]


def delete_things(
    cloud: Cloud, region: str, home_region: str, things: Sequence[Thing], tell: Tell
) -> list[tuple[Thing, str]]:
    """Delete an environment's things, those of its lease in the account's region; return what stays and why.

    The caller has proven that they are to go, and puts it on record.
    """
    here, home = shared_clients(cloud, region), shared_clients(cloud, home_region)
    targets = [Target(each, home if each.kind in _AT_HOME else here) for each in things]
    return [(target.thing, why) for target, why in delete_all(targets, tell) if why]


def _try(target: Target) -> tuple[str, bool]:
    """Delete one thing; return why that failed, "" where it is gone, and whether no repetition would help."""
    delete = REMOVALS.get(target.thing.kind)
    if delete is None:
        return "fleetform does not know how to delete it", True
    try:
        delete(target.clients, target.thing)
    except Exception as error:
        if not (aws.is_cloud_error(error) or isinstance(error, ActError)):
            raise
        if is_gone(error):
            return "", False
        return str(error).splitlines()[0], _is_final(error) and not target.comes_along
    return "", False


def _is_final(error: Exception) -> bool:
    """Return whether no repetition helps; what a deletion itself has tried again to no end is final too."""
    if isinstance(error, ActError):
        return not isinstance(error, RefusedPartlyError)
    return any(part in aws.error_code(error) for part in _FINAL)
