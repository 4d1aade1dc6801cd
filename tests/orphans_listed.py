"""Things as the listings tell them, written by hand: for tests of what is ours and what may go."""

from __future__ import annotations

import datetime
from typing import Any

from fleet.listings.listed import Key, Link, Listed
from fleet.listings.things import Thing
from fleet.orphans.lives import Lives
from fleet.orphans.proofs import Account
from stacks import naming

REGION = "eu-west-1"
NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
ACCOUNT = Account(id="111122223333", organization="acme", regions=(REGION,), now=NOW)
NOBODY = Lives({})


def thing(kind: str, identity: str, region: str = REGION, **more: Any) -> Listed:
    """Return something listed; `links` are (verb, kind, id)."""
    own = {name: more.pop(name) for name in ("name", "stack", "created") if name in more}
    hangs = tuple(Link(how, Key(*to)) for how, *to in more.pop("links", ()))
    return Listed(thing=Thing(kind=kind, id=identity, **own), region=region, links=hangs, **more)


def tagged(environment: str = "vision", **more: str) -> dict[str, str]:
    """Return the tags of a thing of the environment."""
    return {naming.TAG_ENVIRONMENT: environment, **more}


def standing(environment: str = "vision", *, ends: int = 2027, fleet: bool = True) -> list[Listed]:
    """Return what says that an environment stands."""
    lease = naming.lease_name(environment, REGION)
    until = datetime.datetime(ends, 1, 1, tzinfo=datetime.UTC)
    role = naming.environment_role(environment, naming.ROLE_NODE, REGION)
    outputs = thing("SSM parameter", naming.outputs_parameter(environment), tags=tagged(environment))
    return [
        thing("schedule", lease, "", until=until),
        thing("IAM role", role, "", tags=tagged(environment)),
        *([outputs] if fleet else []),
    ]
