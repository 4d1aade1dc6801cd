"""Tries a fleet as its users will use it: all-reduce, file systems, training, an interruption, a resume."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.clock import seconds_between
from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.job_checks import most_nodes
from fleet.job_queueing import SLURM, site_of
from fleet.queue_acts import act_on_run
from fleet.resume import resume
from fleet.run_control import wait_for_end
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus, read_run
from fleet.selftest_judgement import judge_all_reduce, judge_files
from fleet.session import Session
from fleet.steps_seen import last_step, metrics
from fleet.submit import submit
from stacks.outputs import EnvironmentOutputs
from stacks.problems import UserError

PROBE = Path(__file__).parents[1] / "trainer" / "selftest.py"
RECIPE = "digits"
_REHEARSAL_SAMPLES = 4096
_SAMPLES_OF_A_STEP = 256
"""The recipe's global batch: the least that it trains on."""
_INTERRUPT_AT = 0.4
"""Share of the training after which it is interrupted."""
_PATIENCE = 1800.0
"""How long the training may take to get that far, seconds."""
_GRACE = 30.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """One thing that was tried."""

    name: str
    ok: bool
    said: str
    """What came out, in one line."""
    run_id: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The numbers behind it."""


@dataclass(frozen=True)
class Plan:
    """What is tried, and how large."""

    fleet: str
    nodes: int
    seconds: float
    """How long the training is to take."""
    mib: int
    """Size of the file that is written and read."""


def plan_selftest(
    session: Session,
    outputs: EnvironmentOutputs,
    *,
    fleet: str | None,
    nodes: int | None,
    seconds: float,
    mib: int,
) -> Plan:
    """Return what is tried; raises UserError where there is no such fleet, or it has not so many nodes."""
    site = site_of(outputs, session.cloud.variables)
    name = fleet or (next(iter(outputs.fleets)) if len(outputs.fleets) == 1 else "")
    if name not in outputs.fleets:
        names = ", ".join(sorted(outputs.fleets)) or "none"
        what = f"it is not said which fleet is to be tried: there are {names}"
        raise UserError.of(what, "name one of them", path="--fleet")
    most = most_nodes(outputs.fleets[name], site.scheduler)
    chosen = nodes if nodes is not None else max(1, outputs.fleets[name].nodes or min(2, most))
    if not 1 <= chosen <= most:
        raise UserError.of(f"{chosen} nodes can't be tried", f"choose 1 to {most}", path="--nodes")
    return Plan(name, chosen, seconds, mib)


def selftest(session: Session, outputs: EnvironmentOutputs, plan: Plan, tell: Tell) -> Iterator[Outcome]:
    """Try one thing after the other and yield how it went; one that fails keeps none of the others back."""
    store = open_runs(session)
    yield from _probe(session, outputs, store, plan, tell)
    yield from _train(session, outputs, store, plan, tell)


def _probe(
    session: Session, outputs: EnvironmentOutputs, store: RunStore, plan: Plan, tell: Tell
) -> Iterator[Outcome]:
    tell(f"all-reduce and files on {plan.nodes} nodes of {plan.fleet}")
    with tempfile.TemporaryDirectory(prefix="fleetform-selftest-") as folder:
        script = Path(shutil.copy(PROBE, folder))
        job = JobSpec(
            environment=session.spec.name, fleet=plan.fleet, nodes=plan.nodes, script=script,
            checkpoints=True, arguments=("--mib", str(plan.mib)), max_minutes=60,
        )  # fmt: skip
        run = wait_for_end(store, session.ledger, submit(session, outputs, job).run_id)
    found = store.get_json(run.run_id, "all_reduce.json") if run.state == "SUCCEEDED" else None
    if found is None:
        yield Outcome("all-reduce", False, _why(run), run.run_id)
        yield Outcome("files", False, "not measured", run.run_id)
        return
    # Only an emulated cloud has an endpoint of its own.
    emulated = bool(session.cloud.endpoint)
    ok, said = judge_all_reduce(found, outputs.fleets[plan.fleet], emulated=emulated)
    yield Outcome("all-reduce", ok, said, run.run_id, found)
    nodes = [_json(store.get(run.run_id, _of_rank(rank, "files.json"))) for rank in range(plan.nodes)]
    rows = [{"node": rank, **each} for rank, places in enumerate(nodes) for each in places or ()]
    ok, said = judge_files(rows, plan.nodes, session.spec, emulated=emulated)
    yield Outcome("files", ok, said, run.run_id, {"places": rows})


def _train(
    session: Session, outputs: EnvironmentOutputs, store: RunStore, plan: Plan, tell: Tell
) -> Iterator[Outcome]:
    tell("a short training, to see how fast it is")
    run_id = _submit_training(session, outputs, plan, _REHEARSAL_SAMPLES)
    rehearsal = wait_for_end(store, session.ledger, run_id)
    summary = store.get_json(rehearsal.run_id, "summary.json") or {}
    if rehearsal.state != "SUCCEEDED" or not summary.get("samples_per_s"):
        yield Outcome("training", False, _why(rehearsal), rehearsal.run_id)
        yield Outcome("interruption", False, "not tried", rehearsal.run_id)
        return
    samples = max(8 * _SAMPLES_OF_A_STEP, int(summary["samples_per_s"] * plan.seconds))
    samples -= samples % _SAMPLES_OF_A_STEP
    tell(f"a training of {plan.seconds:.0f} s, interrupted on its way")
    run_id = _submit_training(session, outputs, plan, samples)
    stopped_at = _interrupt(session, outputs, store, run_id, samples // _SAMPLES_OF_A_STEP)
    run = wait_for_end(store, session.ledger, run_id)
    summary = store.get_json(run_id, "summary.json") or {}
    ok = run.state == "SUCCEEDED"
    yield Outcome("training", ok, _training_text(summary) if ok else _why(run), run_id, summary)
    yield _resumed(store, run_id, stopped_at, summary, ok=ok)


def _submit_training(session: Session, outputs: EnvironmentOutputs, plan: Plan, samples: int) -> str:
    overrides = (f"samples={samples}", "log_every=1")
    job = JobSpec(
        environment=session.spec.name, fleet=plan.fleet, nodes=plan.nodes, recipe=RECIPE, overrides=overrides,
        max_minutes=60,
    )  # fmt: skip
    return submit(session, outputs, job).run_id


def _training_text(summary: Mapping[str, Any]) -> str:
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in (summary.get("metrics") or {}).items())
    said = f"{summary['steps']} steps on {summary['world_size']} processes"
    rate = summary.get("samples_per_s")
    return said + (f", {rate:.0f} samples/s" if rate else "") + (f", {metrics}" if metrics else "")


def _interrupt(
    session: Session, outputs: EnvironmentOutputs, store: RunStore, run_id: str, steps: int
) -> dict[str, Any]:
    """Interrupt the run once it has done a part of its steps, and let it go on; return what it had done.

    That is nothing where the run had ended before it heard of the stop.
    """
    begun = time.monotonic()
    while (last := last_step(store, run_id)) is None or last["step"] < _INTERRUPT_AT * steps:
        if not read_run(store, run_id).active:
            return {}
        if time.monotonic() - begun > _PATIENCE:
            raise ActError(f"the run {run_id} did not get far enough to be interrupted: it is still running")
        time.sleep(0.3)
    if site_of(outputs, session.cloud.variables).scheduler == SLURM:
        act_on_run(session, run_id, "requeue")
    else:
        store.put(run_id, "stop.json", {"reason": "interrupted by the selftest", "grace_seconds": _GRACE})
        if wait_for_end(store, session.ledger, run_id).state != "PREEMPTED":
            return {}
        last = last_step(store, run_id) or last
        resume(session, outputs, run_id)
    return last


def _resumed(
    store: RunStore, run_id: str, stopped: Mapping[str, Any], summary: Mapping[str, Any], *, ok: bool
) -> Outcome:
    """Return whether the run went on where it was stopped."""
    if not stopped:
        return Outcome("interruption", False, "the training had ended before it could be interrupted", run_id)
    if not ok:
        return Outcome("interruption", False, "the training did not end well", run_id)
    since = int(summary.get("resumed_from_step") or 0)
    steps = [line for line in metrics(store, run_id) if line["step"] > since]
    pause = seconds_between(stopped["time"], steps[0]["time"]) if steps else None
    # Seen through the bucket, the run was a little further than what we saw of it.
    lost = max(0, int(stopped["step"]) - since)
    values = {"step": stopped["step"], "resumed_from_step": since, "lost_steps": lost, "seconds": pause}
    if not since:
        return Outcome("interruption", False, "the run began anew instead of going on", run_id, values)
    took = "" if pause is None else f"; {pause:.1f} s until the next step"
    said = f"stopped after step {stopped['step']}, gone on after step {since}, {lost} steps lost{took}"
    return Outcome("interruption", lost == 0, said, run_id, values)


def _why(run: RunStatus) -> str:
    return f"the run ended as {run.state}{': ' if run.cause else ''}{run.cause}"


def _of_rank(rank: int, name: str) -> str:
    return name if rank == 0 else f"node-{rank}/{name}"


def _json(body: bytes | None) -> Any:
    return json.loads(body) if body is not None else None
