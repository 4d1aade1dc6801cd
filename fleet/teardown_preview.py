"""What a teardown would do, looked at before it is done: what goes, what stays, what speaks against it.

`down` starts from the same functions, so that what was shown is what is refused or destroyed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleet.at_once import each_at_once
from fleet.bootstrap import account_exists, read_state_object
from fleet.listings.things import NotLooked, Thing
from fleet.lost import Look, is_lost
from fleet.receipt import hourly
from fleet.run_file_systems import listed_run_file_systems
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus, list_runs, outputs_safe
from fleet.session import Session
from fleet.standing import require_same_region
from fleet.stores import Kept, find_kept, find_lost
from fleet.sweep import is_same, sort_found, sweep
from fleet.terraform_state import StateResource, read_state
from stacks import naming
from stacks.problems import Problem, UserError

FORMAT = "fleetform-down-preview/1"
SafeRuns = set[tuple[str, int]]
"""Runs, by their ids and attempts, whose outputs were seen to be safe in the bucket."""


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What of the environment's stacks a teardown destroys, and what it leaves."""

    goes: tuple[StateResource, ...]
    stays: tuple[StateResource, ...]
    destroyed: frozenset[str]
    """The stacks that stand and are destroyed."""
    left_alone: frozenset[str]
    """The stacks that stand and are not touched."""
    standing: Mapping[str, Sequence[StateResource]]
    """What stands of each stack, by its state; nothing of one that does not."""
    kept: tuple[Kept, ...]
    """Stores in the way of the base: they hold data and are to be retained."""


@dataclass(frozen=True, kw_only=True)
class Sum:
    """All things of one kind."""

    kind: str
    count: int
    usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A teardown that nobody has begun."""

    environment: str
    cloud: str
    region: str
    base: bool
    goes: tuple[Thing, ...]
    lost: tuple[str, ...]
    """What holds data and goes with it for good, in words."""
    stays: tuple[Thing, ...]
    """Kept on purpose: the base without `base`, and stores that are to be retained."""
    left: tuple[Thing, ...]
    """What belongs to the environment and no stack of its has made: a teardown leaves it, and says so."""
    against: tuple[Problem, ...]
    """Why it is refused as things stand."""
    not_looked: tuple[NotLooked, ...]

    @property
    def usd_saved_per_hour(self) -> float:
        """List price of what goes; what costs by use is not in it."""
        return hourly(self.goes)

    @property
    def usd_kept_per_hour(self) -> float:
        """List price of what goes on standing."""
        return hourly((*self.stays, *self.left))

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the sums too, as JSON has it."""
        sums = {
            "usd_saved_per_hour": self.usd_saved_per_hour,
            "usd_kept_per_hour": self.usd_kept_per_hour,
        }
        return {"format": FORMAT, **asdict(self), **sums}


def preview(
    session: Session, *, base: bool, runs: Sequence[RunStatus] | None = None, safe: SafeRuns | None = None
) -> Preview:
    """Look at what `down` would do now; nothing is changed, and nothing put on record.

    `runs` are all of the environment's, where the caller knows them; else they are read. `safe` are those
    that an earlier look has found safe; this one adds to them.

    Raises UserError where `down` would refuse before it looks: nothing was ever built in this cloud, or the
    environment stands in another region.
    """
    assert session.caller, "the cloud has answered"
    require_account(session)
    require_same_region(session)
    with ThreadPoolExecutor(max_workers=1) as pool:
        seen = pool.submit(sweep, session)
        scope, store = find_scope(session, base=base), open_runs(session)
        against = reasons_against(session, store, scope, _runs_as_found(store, runs), safe)
        of_runs = listed_run_file_systems(session)
        found = sort_found(seen.result(), scope.left_alone, scope.stays)
    goes = tuple(each for each in found.left if _goes(each, scope) or each.id in of_runs)
    return Preview(
        environment=session.spec.name,
        cloud=session.cloud.name,
        region=session.spec.region,
        base=base,
        goes=goes,
        lost=tuple(find_lost(session, scope.goes)),
        stays=found.kept,
        left=tuple(each for each in found.left if each not in goes),
        against=tuple(against),
        not_looked=found.not_looked,
    )


def find_against(
    session: Session, *, base: bool, runs: Sequence[RunStatus], safe: SafeRuns | None = None
) -> list[Problem]:
    """Return only what speaks against it now, which is quicker than the whole look; as `preview` does."""
    assert session.caller, "the cloud has answered"
    require_account(session)
    require_same_region(session)
    store = open_runs(session)
    scope = find_scope(session, base=base)
    return reasons_against(session, store, scope, _runs_as_found(store, runs), safe)


def sums(things: Iterable[Thing]) -> list[Sum]:
    """Return the things counted by kind, the dearest first."""
    kinds: dict[str, list[Thing]] = {}
    for each in things:
        kinds.setdefault(each.kind, []).append(each)
    found = [Sum(kind=kind, count=len(each), usd_per_hour=hourly(each)) for kind, each in kinds.items()]
    return sorted(found, key=lambda each: (-each.usd_per_hour, each.kind))


def require_account(session: Session) -> None:
    """Raise UserError where nothing was ever built in this cloud."""
    if not account_exists(session.cloud, session.account):
        raise UserError.of(
            f"no environment was ever built in {session.cloud}: it has no state bucket",
            f"name the cloud that {session.spec.name} stands in with `--cloud`",
        )


def find_scope(session: Session, *, base: bool) -> Scope:
    """Return what a teardown would destroy of what the stacks' states say stands."""
    own = naming.base_stack(session.spec.name)
    standing = {
        name: read_state(read_state_object(session.cloud, session.account, name))
        for name in naming.environment_stacks(session.spec.name)
    }
    stores = tuple(find_kept(session, standing[own])) if base else ()
    kept = [each for each in standing[own] if not base or any(store.keeps(each) for store in stores)]
    there = frozenset(name for name, resources in standing.items() if resources)
    alone = frozenset() if base else there & {own}
    return Scope(
        goes=tuple(each for resources in standing.values() for each in resources if each not in kept),
        stays=tuple(kept),
        destroyed=there - alone,
        left_alone=alone,
        standing=standing,
        kept=stores,
    )


def reasons_against(
    session: Session,
    store: RunStore,
    scope: Scope,
    runs: Sequence[RunStatus],
    safe: SafeRuns | None = None,
) -> list[Problem]:
    """Return what speaks against the teardown: active runs, outputs that are not safe, stores to retain.

    Ended runs in `safe` are not looked at again, and those that are found safe are added.
    """
    retained = [each.problem(session) for each in scope.kept]
    return [*_active(runs), *_unsafe(store, runs, set() if safe is None else safe), *retained]


def _active(runs: Sequence[RunStatus]) -> list[Problem]:
    return [
        Problem(
            what=f"the run {run.run_id} ({run.program}) is {run.state}",
            do="wait for it, end it with `fleetform cancel`, or say --anyway REASON, which cancels it",
        )
        for run in runs
        if run.active
    ]


def _unsafe(store: RunStore, runs: Sequence[RunStatus], safe: SafeRuns) -> list[Problem]:
    ended = [run for run in runs if not run.active and (run.run_id, run.attempt) not in safe]
    missing = each_at_once(lambda run: outputs_safe(store, run), ended)
    found_safe = [run for run, found in zip(ended, missing, strict=True) if run.ended and not found]
    safe |= {(run.run_id, run.attempt) for run in found_safe}
    do = "wait until its node has uploaded it, or say --anyway REASON, which gives it up"
    return [Problem(what=each, do=do) for found in missing for each in found]


def _runs_as_found(store: RunStore, known: Sequence[RunStatus] | None) -> list[RunStatus]:
    """Return the runs as a teardown finds them: one that nobody carries out any more has failed by then."""
    runs, look = list_runs(store) if known is None else list(known), Look(store)
    lost = each_at_once(lambda run: run.active and is_lost(store, run, look), runs)
    return [replace(run, state="FAILED") if gone else run for run, gone in zip(runs, lost, strict=True)]


def _goes(thing: Thing, scope: Scope) -> bool:
    """Return whether a stack that goes has it: by its tag, as a fleet has machines, or by its state."""
    return thing.stack in scope.destroyed or any(is_same(thing, each) for each in scope.goes)
