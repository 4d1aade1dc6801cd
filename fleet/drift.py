"""What stands against what was declared: changed, gone, added or opened behind Terraform's back, ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fleet.attributes import AttributeChange, attribute_changes
from fleet.bootstrap import account_exists, read_state_object
from fleet.drift_machines import machine_findings
from fleet.drift_mirrors import Extra, extras, is_mirrored
from fleet.drift_ranks import RANKS, Rank, rank_of_attribute, rank_of_deletion, worst
from fleet.estate import open_stack, prepare, stack_names
from fleet.estimate import resources_of
from fleet.findings import Finding
from fleet.kinds import room_of
from fleet.plan import plannable_folder
from fleet.plan_changes import ResourceChange, action_of, from_plan
from fleet.priced import Resource
from fleet.session import Session
from fleet.synth import stack_folder
from fleet.terraform_events import Report
from fleet.terraform_run import listening
from fleet.words import describe
from stacks import naming
from stacks.problems import UserError

FORMAT = "fleetform-drift/1"
_DRIFT_FILE = "drift.tfplan"


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """An environment held against its declaration."""

    environment: str
    cloud: str
    region: str
    looked_at: tuple[str, ...]
    """The stacks that stand; one without a state has nothing that could drift."""
    findings: tuple[Finding, ...]
    """What was changed behind Terraform's back, worst first."""
    pending: tuple[ResourceChange, ...]
    """What the file asks for and nobody has applied yet: no drift."""

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each rank."""
        return {rank: sum(each.rank == rank for each in self.findings) for rank in RANKS}

    @property
    def worst(self) -> Rank | None:
        """The worst rank found, None where nothing drifted."""
        return worst(each.rank for each in self.findings) if self.findings else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it; docs/plan.md describes the keys."""
        derived = {"format": FORMAT, "worst": self.worst, "counts": self.counts}
        return {**derived, **asdict(self)}


def drift(session: Session, report: Report) -> DriftReport:
    """Look at everything that the environment's stacks and the account's have made; put it on record.

    Changes nothing: no state is written. Raises UserError where nothing was ever built in this cloud.
    """
    if not account_exists(session.cloud, session.account):
        raise UserError.of(
            f"no environment was ever built in {session.cloud}: it has no state bucket",
            f"name the cloud that {session.spec.name} stands in with `--cloud`",
        )
    out = prepare(session, report)
    standing = [name for name in stack_names(session) if _stands(session, name)]
    with listening(), ThreadPoolExecutor(max_workers=len(standing) or 1) as pool:
        plans = list(pool.map(partial(_planned, session, report, out), standing))
    now = {name: list(standing_resources(plan)) for name, plan in zip(standing, plans, strict=True)}
    everything = [each for listed in now.values() for each in listed]
    found: list[Finding] = []
    pending: list[ResourceChange] = []
    for name, plan in zip(standing, plans, strict=True):
        configuration = open_stack(session, name, report, stack_folder(out, name)).configuration()
        declared = list(resources_of(configuration))
        here = list(stack_findings(session.spec.name, name, plan, declared, everything))
        drifted = {each.address for each in here}
        pending += [each for each in from_plan(name, plan, declared) if each.address not in drifted]
        found += here
    if naming.fleet_stack(session.spec.name) in standing:
        found += machine_findings(session, everything)
    result = DriftReport(
        environment=session.spec.name,
        cloud=session.cloud.name,
        region=session.spec.region,
        looked_at=tuple(standing),
        findings=tuple(sorted(found, key=lambda each: (RANKS.index(each.rank), each.stack, each.address))),
        pending=tuple(pending),
    )
    worst_ones = [f"{each.address}: {each.what}" for each in result.findings if each.rank == "critical"]
    details = {"counts": result.counts, "stacks": standing, "critical": worst_ones, "pending": len(pending)}
    session.ledger.append("environment.drift", session.spec.name, "recorded", details)
    return result


def stack_findings(
    environment: str,
    stack: str,
    plan: Mapping[str, Any],
    declared: Sequence[Resource],
    everything: Sequence[Resource] = (),
) -> Iterator[Finding]:
    """Yield what has drifted in one stack, from its plan's JSON.

    `declared` is what is synthesized, `everything` what stands of all stacks where there are several. A
    change that Terraform means to undo is undone by `fleetform up`; what somebody added is in no plan.
    """
    now = list(standing_resources(plan))
    owners = everything or now
    planned = {
        each["address"]: action_of(each)
        for each in plan.get("resource_changes", ())
        if action_of(each) not in ("no-op", "read")
    }
    for change in plan.get("resource_drift", ()):
        if change.get("mode") != "managed":
            continue
        repair = _repair(environment, stack, change["address"] in planned)
        finding = _of_change(stack, change, now, owners, repair)
        if finding:
            yield finding
    for extra in extras(now, declared, owners):
        yield _of_extra(stack, extra)


def _of_change(
    stack: str,
    change: Mapping[str, Any],
    now: Sequence[Resource],
    owners: Sequence[Resource],
    repair: str,
) -> Finding | None:
    """Return the finding of one drifted resource, None where nothing but mirrors of others has changed."""
    kind, name, address = change["type"], change["name"], change["address"]
    before = Resource(kind, name, change["change"].get("before") or {})
    if action_of(change) == "delete":
        return _finding(stack, before, rank_of_deletion(kind), f"{describe(before, now)} is gone", (), repair)
    attributes = tuple(
        each
        for each in attribute_changes(change["change"])
        if not is_mirrored(_named(now, address) or before, each.path.split(".")[0], owners)
    )
    if not attributes:
        return None
    ranks = [rank_of_attribute(kind, each.path) for each in attributes]
    ordered = sorted(zip(ranks, attributes, strict=True), key=lambda each: RANKS.index(each[0]))
    what = f"{describe(before, now)} was changed"
    return _finding(stack, before, worst(ranks), what, tuple(each for _, each in ordered), repair)


def _of_extra(stack: str, extra: Extra) -> Finding:
    rank = rank_of_attribute(extra.parent.kind, extra.attribute)
    what = f"{describe(extra.parent)} was given {extra.what} ({extra.attribute})"
    repair = "take it away by hand: no resource of ours is it, so no apply touches it"
    return _finding(stack, extra.parent, rank, what, (), repair)


def _finding(
    stack: str,
    resource: Resource,
    rank: Rank,
    what: str,
    attributes: tuple[AttributeChange, ...],
    repair: str,
) -> Finding:
    return Finding(
        rank=rank,
        stack=stack,
        address=resource.address,
        room=room_of(resource.kind, stack),
        what=what,
        attributes=attributes,
        repair=repair,
    )


def _repair(environment: str, stack: str, planned: bool) -> str:
    if not planned:
        return "nothing to do: Terraform leaves this as it is"
    account = " --account" if stack == naming.ACCOUNT_STACK else ""
    return f"`fleetform up {environment}{account}` puts it back"


def _planned(session: Session, report: Report, out: Path, name: str) -> dict[str, Any]:
    """Return the plan of one stack as data, which tells the drift as well; nothing is kept of it."""
    folder, copied = plannable_folder(session, out, name)
    stack, file = open_stack(session, name, report, folder), folder / _DRIFT_FILE
    try:
        stack.plan(out=file, lock=not copied)
        return stack.show(file)
    finally:
        file.unlink(missing_ok=True)


def standing_resources(plan: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield what stands, as the plan's refresh has read it."""
    module = plan.get("prior_state", {}).get("values", {}).get("root_module", {})
    for each in module.get("resources", ()):
        if each["mode"] == "managed":
            yield Resource(each["type"], each["name"], each["values"])


def _named(resources: Iterable[Resource], address: str) -> Resource | None:
    return next((each for each in resources if each.address == address), None)


def _stands(session: Session, stack: str) -> bool:
    return bool(read_state_object(session.cloud, session.account, stack))
