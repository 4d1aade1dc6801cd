"""What an entry of the ledger is about: its environment, run and machines, and who answers for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_ENVIRONMENT = re.compile(r"[a-z][a-z0-9-]{1,39}", re.ASCII)
_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_INSTANCE = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")
_OF_ENVIRONMENTS = ("environment.", "lease.", "budget.", "state.")
"""Events whose target is an environment."""
_SUBMITTED = "run.submit"
"""Its target is the environment; the run is among its details once it has an id."""
_OF_RUNS = ("run.", "model.")


@dataclass(frozen=True, kw_only=True)
class About:
    """What one entry is about; "" for what it does not tell."""

    environment: str
    run: str
    instances: tuple[str, ...]
    """The machines: the one that was acted on, or those that a run was given."""
    person: str
    """Who did it: a person's id in the console, one whom the cloud vouches for, else the caller's ARN."""

    @property
    def instance(self) -> str:
        """The machine that it is about, "" for none, or where it is about several."""
        return self.instances[0] if len(self.instances) == 1 else ""


def about(entry: Mapping[str, Any], environment_of_run: Callable[[str], str] = lambda run: "") -> About:
    """Return what an entry is about; `environment_of_run` knows the runs that were submitted before."""
    event, details = str(entry.get("event")), entry.get("details")
    told: Mapping[str, Any] = details if isinstance(details, Mapping) else {}
    target, run = str(entry.get("target")), ""
    environment = str(told.get("environment") or "")
    if event.startswith(_OF_ENVIRONMENTS):
        environment = target
    elif event == _SUBMITTED:
        environment, run = target, str(told.get("run_id") or "")
    elif event.startswith(_OF_RUNS):
        run = target if _RUN.fullmatch(target) else ""
        environment = environment or environment_of_run(run)
    return About(
        environment=environment if _ENVIRONMENT.fullmatch(environment) else "",
        run=run if _RUN.fullmatch(run) else "",
        instances=_machines(target, told),
        person=person_of(entry),
    )


def _machines(target: str, details: Mapping[str, Any]) -> tuple[str, ...]:
    several = details.get("instances")
    named = (target, details.get("instance"), *(several if isinstance(several, list) else ()))
    return tuple(dict.fromkeys(each for each in named if isinstance(each, str) and is_machine(each)))


def person_of(entry: Mapping[str, Any]) -> str:
    """Return who did it, "" where that was nobody who had signed in."""
    actor = entry.get("actor")
    if not isinstance(actor, Mapping):
        return ""
    asked = actor.get("asked_by")
    if isinstance(asked, Mapping):
        return str(asked.get("id") or "")
    return str(actor.get("person") or actor.get("identity") or "")


def is_environment(text: str) -> bool:
    """Return whether it can be an environment's name."""
    return _ENVIRONMENT.fullmatch(text) is not None


def is_machine(text: str) -> bool:
    """Return whether it can be a machine's id."""
    return _INSTANCE.fullmatch(text) is not None
