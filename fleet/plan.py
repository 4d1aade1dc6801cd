"""What Terraform would change, for every stack of an environment; nothing is created by looking."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fleet.bootstrap import account_exists, missing_takeovers, read_state_object
from fleet.estate import open_stack, prepare, stack_names
from fleet.estimate import resources_of
from fleet.plan_changes import NEEDS_VALUES, ResourceChange, from_configuration, from_plan
from fleet.session import Session
from fleet.standing import require_same_network
from fleet.standing_scheduler import require_same_scheduler
from fleet.standing_stores import require_same_stores
from fleet.synth import output_folder, stack_folder
from fleet.terraform import CONFIGURATION, Stack
from fleet.terraform_events import Changes, Diagnostic, PlanResult, Report
from fleet.terraform_run import listening
from stacks import naming

PLAN_FILE = "shown.tfplan"
_REMOTE = re.compile(r"data\.terraform_remote_state\.([A-Za-z0-9_-]+)\.outputs\.([A-Za-z0-9_-]+)")
_STAND_IN = "terraform_data"
"""Terraform's own resource whose output nobody knows before an apply, just as an unbuilt base's outputs."""


@dataclass(frozen=True, kw_only=True)
class StackPlan:
    """What would change in one stack."""

    stack: str
    empty: bool
    """Whether there is nothing to do."""
    changes: Changes
    resources: tuple[ResourceChange, ...]
    """What happens to each resource, by room, in words."""
    provisional: str = ""
    """Why the plan is made without the real state, "" where it is Terraform's own."""
    file: Path | None = None
    """The plan itself, to be applied as it was shown; None unless asked for, and for a provisional one."""
    warnings: tuple[Diagnostic, ...] = ()


@contextmanager
def kept_plans(session: Session) -> Iterator[None]:
    """Take away every plan that is kept meanwhile, whatever happens: it holds what a state holds."""
    try:
        yield
    finally:
        for name in stack_names(session):
            (stack_folder(output_folder(session), name) / PLAN_FILE).unlink(missing_ok=True)


def plan(
    session: Session, report: Report, *, keep: bool = False, only: Collection[str] = ()
) -> list[StackPlan]:
    """Plan the account's stack, the base and the fleet, or some of them, side by side.

    `keep` the plans to be applied: within `kept_plans`, which takes them away.

    What does not stand yet is planned provisionally in a copy of the stack: with a local state where the
    account has no buckets yet, and with stand-ins for the base's outputs where there is no base.
    """
    out = prepare(session, report, building=True)
    require_same_network(session)
    require_same_stores(session)
    require_same_scheduler(session)
    reasons = _provisional_reasons(session)
    names = [name for name in stack_names(session) if not only or name in only]
    with listening(), ThreadPoolExecutor(max_workers=len(names)) as pool:
        work = partial(_plan_stack, session, out, report, reasons, keep)
        return list(pool.map(work, names))


def _provisional_reasons(session: Session) -> dict[str, str]:
    """Return per stack why it can't be planned against its real state, "" where it can."""
    base, fleet = naming.environment_stacks(session.spec.name)
    if not account_exists(session.cloud, session.account):
        no_account = "the account has no state bucket yet"
        return {
            naming.ACCOUNT_STACK: no_account,
            base: no_account,
            fleet: f"{no_account}, and there is no base",
        }
    no_base = "" if base_outputs(session) else "there is no base yet; what it will give is unknown"
    return {naming.ACCOUNT_STACK: "", base: "", fleet: no_base}


def base_outputs(session: Session) -> dict[str, Any]:
    """Return the outputs in the base's state, empty where there is no base (or a torn down one)."""
    text = read_state_object(session.cloud, session.account, naming.base_stack(session.spec.name))
    outputs: dict[str, Any] = json.loads(text or "{}").get("outputs", {})
    return outputs


def _plan_stack(
    session: Session, out: Path, report: Report, reasons: dict[str, str], keep: bool, name: str
) -> StackPlan:
    folder, reason = stack_folder(out, name), reasons[name]
    if reason:
        folder = _scratch_copy(folder, out.parent / "provisional" / name, stand_alone)
    else:
        folder, reason = plannable_folder(session, out, name)
    stack, file, kept = open_stack(session, name, report, folder), folder / PLAN_FILE, keep and not reason
    try:
        result = stack.plan(out=file, lock=not reason)
        resources = _resource_changes(stack, result, file)
    finally:
        if not kept:
            file.unlink(missing_ok=True)  # a plan holds what a state holds
    stand_ins = sum(each.address.startswith(f"{_STAND_IN}.") for each in result.planned)
    return StackPlan(
        stack=name,
        empty=result.empty,
        changes=replace(result.changes, add=result.changes.add - stand_ins),
        resources=resources,
        provisional=reason,
        file=file if kept else None,
        warnings=result.warnings,
    )


def plannable_folder(session: Session, out: Path, name: str) -> tuple[Path, str]:
    """Return where a stack with a state is planned: its own folder, or else a copy, and then why."""
    folder = stack_folder(out, name)
    absent = missing_takeovers(session.cloud, session.account) if name == naming.ACCOUNT_STACK else ()
    if not absent:
        return folder, ""
    reason = f"the account stands from before, without {', '.join(absent)}, which `up` makes first"
    return _scratch_copy(folder, out.parent / "upgrade" / name, partial(without_imports, absent)), reason


def _resource_changes(stack: Stack, result: PlanResult, file: Path) -> tuple[ResourceChange, ...]:
    """Return the changes in words; only one that changes what stands pays for the plan's JSON."""
    ours = [each for each in result.planned if not each.address.startswith(f"{_STAND_IN}.")]
    resources = list(resources_of(stack.configuration()))
    if any(each.action in NEEDS_VALUES for each in ours):
        return from_plan(stack.name, stack.show(file), resources)
    return from_configuration(stack.name, ours, resources)


def _scratch_copy(source: Path, target: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """Copy a synthesized stack, changed so that it can be planned, to where that is done; return the copy."""
    target.mkdir(parents=True, exist_ok=True)
    skipped = shutil.ignore_patterns(".terraform*", "terraform.*", "*.tfstate*", "*.tfplan", CONFIGURATION)
    shutil.copytree(source, target, ignore=skipped, dirs_exist_ok=True)
    configuration = json.loads((source / CONFIGURATION).read_text(encoding="utf-8"))
    text = json.dumps(change(configuration), indent=2)
    (target / CONFIGURATION).write_text(text, encoding="utf-8")
    return target


def without_imports(addresses: Collection[str], configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration without the imports of what is not there yet; its plan then makes it."""
    kept = [each for each in configuration.get("import", []) if each["to"] not in addresses]
    others = {key: value for key, value in configuration.items() if key != "import"}
    return {**others, **({"import": kept} if kept else {})}


def stand_alone(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration with a local state, no imports, and stand-ins for other stacks' outputs."""
    text = json.dumps(configuration)
    used = sorted(set(_REMOTE.findall(text)))
    copy: dict[str, Any] = json.loads(_REMOTE.sub(rf"{_STAND_IN}.\1.output.\2", text))
    copy["terraform"]["backend"] = {"local": {}}
    copy.pop("import", None)
    data = copy.get("data", {})
    data.pop("terraform_remote_state", None)
    if not data:
        copy.pop("data", None)
    for state, output in used:
        stand_ins = copy.setdefault("resource", {}).setdefault(_STAND_IN, {})
        stand_ins.setdefault(state, {"input": {}})["input"][output] = "unknown"
    return copy
