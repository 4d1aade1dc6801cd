"""Hands a job to an environment: everything into its artifact bucket, then one command to its head node."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fleet import aws, code_archive, datasets
from fleet.clock import utc_now
from fleet.code_archive import CodeArchive
from fleet.datasets import Dataset
from fleet.handover import bearing_with_the_cloud, hand_over, request_text
from fleet.head import find_head
from fleet.job import JobSpec, LaunchRequest, build_request, render_launch_script
from fleet.job_digest import job_digest
from fleet.job_forms import task_ids
from fleet.job_queueing import SLURM, ignored_settings, site_of
from fleet.limits import or_when_others_are_done, require_within
from fleet.list_prices import at_list_price
from fleet.queued import await_queued
from fleet.requirements import LockedRequirements, read_requirements
from fleet.reservation import reserving
from fleet.run_control import end_lost_holders
from fleet.run_costs import ask_of
from fleet.run_store import RunStore, open_runs
from fleet.runs import read_run
from fleet.session import Session
from fleet.speedup import known_trials
from stacks.outputs import EnvironmentOutputs
from stacks.problems import Problem, UserError

_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Nothing that is easily misread."""


@dataclass(frozen=True)
class Submitted:
    """A run that its head node has been told of."""

    run_id: str
    request: LaunchRequest
    head: str
    """Instance id of the head node."""
    queued: bool
    """Whether the queue has said that it has the run; the plain engine is not waited for."""
    warnings: tuple[str, ...]

    @property
    def tasks(self) -> list[str]:
        """The ids of the runs that an array's tasks are; none for a single run."""
        array = self.request.queueing.array
        return list(task_ids(self.run_id, array).values()) if array else []


@dataclass(frozen=True)
class _Cargo:
    """What travels with a run."""

    code: CodeArchive | None
    dataset: Dataset | None
    packages: LockedRequirements | None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever sends it should know."""
        said = self.code.warnings() if self.code else ()
        return (*said, *(self.packages.warnings if self.packages else ()))


def submit(
    session: Session,
    outputs: EnvironmentOutputs,
    job: JobSpec,
    on_wait: Callable[[str], None] = lambda said: None,
    *,
    run_id: str = "",
    approved_by: str = "",
) -> Submitted:
    """Check the job, bring what it needs to the bucket and start it; the ledger has it as `run.submit`.

    Raises UserError with every problem of the job, ActError where the environment can't take it. Of a run
    that did not start, nothing is left in the bucket but its dataset and its list of packages. A head that
    does not answer at once is waited for, which `on_wait` is told. `run_id` is the id of a run that was named
    beforehand (`new_run_id`), of which there is nothing yet; `approved_by` who lets it go over the budget.
    """
    site, store = site_of(outputs, session.cloud.variables), open_runs(session)
    with session.ledger.act("run.submit", job.environment, **_about(job, approved_by)) as act:
        session.require("run.submit", job.team or "")
        request = at_list_price(session, build_request(job, outputs.fleets, outputs.run_max_gib, site))
        queueing, packages = request.queueing, read_requirements(job.packages) if job.packages else None
        if problems := _waiting_problems(store, request):
            raise UserError(problems)
        check = None if approved_by else partial(require_within, session, request, outputs)
        budget = check and or_when_others_are_done(check)
        run_id = act.details["run_id"] = run_id or new_run_id(_prefix(queueing.team, site.default_team))
        usd = act.details["at_most_usd"] = ask_of(request.to_dict()).usd
        code = code_archive.pack(request.code_root, request.script) if request.code_root else None
        cargo = _Cargo(code, _prepare(session, request) if request.dataset else None, packages)
        head, document = find_head(session), outputs.run_document_of(queueing.team)
        _bring(session, outputs, cargo)
        run = {"run_id": run_id, **_described(session, outputs, request, cargo)}
        files, within = _files(run, request, code), check and partial(check, submitting=run_id)
        with reserving(session, store, run_id, usd, within, on_wait) as keep:
            told = hand_over(session, store, document, head, run_id, files, keep)
        queued = queueing.scheduler == SLURM and await_queued(session, document, run_id, 1, told, on_wait)
    if queueing.scheduler != SLURM:
        make_room(session)
    warnings = (*ignored_settings(job, site), *cargo.warnings, *(budget.notes if budget else ()))
    return Submitted(run_id, request, told[0], queued, warnings)


def _prefix(team: str, default_team: str) -> str:
    """Return the team that the ids of its runs begin with, "" for the environment's own."""
    return team if team != default_team else ""


def _about(job: JobSpec, approved_by: str) -> dict[str, Any]:
    """Return what the ledger has of a job before anything is done."""
    script = job.script and job.script.name
    approved = {"approved_by": approved_by} if approved_by else {}
    return {"recipe": job.recipe, "script": script, "nodes": job.nodes, **approved}


def _described(
    session: Session, outputs: EnvironmentOutputs, request: LaunchRequest, cargo: _Cargo
) -> dict[str, Any]:
    """Return `run.json`, but for the run's id."""
    code, dataset = cargo.code, cargo.dataset
    digest = job_digest(request, code.sha256 if code else "", dataset.sha256 if dataset else "")
    return {
        **request.to_dict(),
        "job_digest": digest,
        "trials": _known_trials(session, outputs, digest),
        "dataset": dataset.to_dict() if dataset else None,
        "code": code.to_dict() if code else None,
        "packages": cargo.packages.to_dict() if cargo.packages else None,
        "actor": session.caller,
        "asked_by": {key: session.asked_by[key] for key in ("id", "name")} if session.asked_by else None,
        "submitted": utc_now(),
    }


def _known_trials(session: Session, outputs: EnvironmentOutputs, digest: str) -> dict[str, Any] | None:
    """Return the job's trials; a further team may not see what the environment's own has measured."""
    try:
        return known_trials(session.client("s3"), outputs.artifact_bucket, digest)
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        return None


def _files(run: Mapping[str, Any], request: LaunchRequest, code: CodeArchive | None) -> dict[str, bytes]:
    """Return the objects of the run below `runs/`, those of an array's tasks too, its own run.json last."""
    run_id = str(run["run_id"])
    files = {f"{run_id}/launch.sh": render_launch_script(request).encode()}
    if code:
        files[f"{run_id}/code.tar.gz"] = code.body
    array = request.queueing.array
    for index, task in (task_ids(run_id, array) if array else {}).items():
        about = {"run_id": task, "array": None, "array_of": run_id, "array_index": index}
        files[f"{task}/run.json"] = request_text({**run, **about})
    files[f"{run_id}/run.json"] = request_text(run)  # last: it makes the run exist
    return files


def _bring(session: Session, outputs: EnvironmentOutputs, cargo: _Cargo) -> None:
    """Upload what many runs may share: the dataset, the list of packages."""
    s3 = session.client("s3")
    if cargo.dataset:
        datasets.upload(s3, outputs.dataset_bucket, cargo.dataset)
    if cargo.packages:
        s3.put_object(Bucket=outputs.artifact_bucket, Key=cargo.packages.key, Body=cargo.packages.body)


def _waiting_problems(store: RunStore, request: LaunchRequest) -> list[Problem]:
    """Return what is wrong with the runs that it waits for: unknown, or ended so that it never starts."""
    problems: list[Problem] = []
    for run_id in request.queueing.after:
        try:
            run = read_run(store, run_id)
        except UserError as error:
            problems += [Problem(what=each.what, do=each.do, path="--after") for each in error.problems]
            continue
        if not run.active and run.state != "SUCCEEDED" and not request.queueing.after_any:
            what = f"the run {run_id} has ended as {run.state}, so this one would wait for ever"
            again = f"fleetform run {request.environment} --resume {run_id}"
            do = f"go on with it first (`{again}`), or say --after-any"
            problems.append(Problem(what=what, do=do, path="--after"))
    return problems


def _prepare(session: Session, request: LaunchRequest) -> Dataset:
    """Return the job's dataset, prepared on this machine."""
    variables = session.cloud.process_environment()
    return datasets.prepare(session.project, request.dataset, request.recipe, request.overrides, variables)


def new_run_id(team: str = "") -> str:
    """Return an id that sorts by its time (UTC) and that nobody else takes in the same second.

    The runs of a further team, one beside the environment's own, begin with its name.
    """
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    end = "".join(secrets.choice(_ID_LETTERS) for _ in range(5))
    return "-".join([*([team] if team else []), moment, end])


def make_room(session: Session) -> None:
    """End the lost runs whose nodes this one would wait for; it is on its way by now."""
    with bearing_with_the_cloud():
        end_lost_holders(open_runs(session), session.ledger)
