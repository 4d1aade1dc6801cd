"""What Terraform would change, for every stack of an environment; nothing is created by looking."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fleet.bootstrap import account_exists, read_state_object
from fleet.estate import open_stack, prepare, stack_names
from fleet.session import Session
from fleet.standing import require_same_network
from fleet.synth import stack_folder
from fleet.terraform import CONFIGURATION
from fleet.terraform_events import Changes, Diagnostic, PlannedChange, Report
from fleet.terraform_run import listening
from stacks import naming

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
    planned: tuple[PlannedChange, ...]
    provisional: str = ""
    """Why the plan is made without the real state, "" where it is Terraform's own."""
    file: Path | None = None
    """The plan itself, to be applied as it was shown; None unless asked for, and for a provisional one."""
    warnings: tuple[Diagnostic, ...] = ()


def plan(session: Session, report: Report, *, keep: bool = False) -> list[StackPlan]:
    """Plan the account's stack, the base and the fleet, side by side; `keep` the plans to be applied.

    What does not stand yet is planned provisionally in a copy of the stack: with a local state where the
    account has no buckets yet, and with stand-ins for the base's outputs where there is no base.
    """
    out = prepare(session, report)
    require_same_network(session)
    reasons = _provisional_reasons(session)
    with listening(), ThreadPoolExecutor(max_workers=len(reasons)) as pool:
        work = partial(_plan_stack, session, out, report, reasons, keep)
        return list(pool.map(work, stack_names(session)))


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
        folder = _scratch_copy(folder, out.parent / "provisional" / name)
    file = folder / "approved.tfplan" if keep and not reason else None
    result = open_stack(session, name, report, folder).plan(out=file, lock=not reason)
    ours = (each for each in result.planned if not each.address.startswith(f"{_STAND_IN}."))
    planned = tuple(sorted(ours, key=lambda each: each.address))
    stand_ins = len(result.planned) - len(planned)
    counts = result.changes
    changes = Changes(
        add=counts.add - stand_ins, change=counts.change, destroy=counts.destroy, imports=counts.imports
    )
    return StackPlan(
        stack=name,
        empty=result.empty,
        changes=changes,
        planned=planned,
        provisional=reason,
        file=file,
        warnings=result.warnings,
    )


def _scratch_copy(source: Path, target: Path) -> Path:
    """Copy a synthesized stack to where it can be planned by itself; return the copy."""
    target.mkdir(parents=True, exist_ok=True)
    skipped = shutil.ignore_patterns(".terraform*", "terraform.*", "*.tfstate*", CONFIGURATION)
    shutil.copytree(source, target, ignore=skipped, dirs_exist_ok=True)
    configuration = json.loads((source / CONFIGURATION).read_text(encoding="utf-8"))
    text = json.dumps(stand_alone(configuration), indent=2)
    (target / CONFIGURATION).write_text(text, encoding="utf-8")
    return target


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
