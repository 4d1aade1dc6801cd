"""Hands a job to an environment: everything into its artifact bucket, then one command to its head node."""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fleet import aws, code_archive, datasets
from fleet.clock import utc_now
from fleet.errors import ActError
from fleet.head import find_head, running_head
from fleet.job import JobSpec, LaunchRequest, build_request, render_launch_script
from fleet.job_digest import job_digest
from fleet.run_control import end_lost_holders
from fleet.run_store import open_runs
from fleet.session import Session
from fleet.speedup import known_trials
from stacks.outputs import EnvironmentOutputs
from stacks.problems import UserError

_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Nothing that is easily misread."""


@dataclass(frozen=True)
class Submitted:
    """A run that its head node has been told of."""

    run_id: str
    request: LaunchRequest
    head: str
    """Instance id of the head node."""


def submit(session: Session, outputs: EnvironmentOutputs, job: JobSpec) -> Submitted:
    """Check the job, bring what it needs to the bucket and start it; the ledger has it as `run.submit`.

    Raises UserError with every problem of the job, ActError where the environment can't take it. Of a run
    that did not start, nothing is left in the bucket but its dataset.
    """
    about = {"recipe": job.recipe, "script": job.script and job.script.name, "nodes": job.nodes}
    with session.ledger.act("run.submit", job.environment, **about) as act:
        request = build_request(job, outputs.fleets, outputs.run_max_gib)
        run_id = act.details["run_id"] = new_run_id()
        code = code_archive.pack(request.code_root) if request.code_root else None
        dataset = _prepare(session, request) if request.dataset else None
        head = find_head(session)
        s3 = session.client("s3")
        if dataset:
            datasets.upload(s3, outputs.dataset_bucket, dataset)
        digest = job_digest(request, code.sha256 if code else "", dataset.sha256 if dataset else "")
        run = {
            "run_id": run_id,
            **request.to_dict(),
            "job_digest": digest,
            "trials": known_trials(s3, outputs.artifact_bucket, digest),
            "dataset": dataset.to_dict() if dataset else None,
            "code": {"sha256": code.sha256, "files": code.files} if code else None,
            "actor": session.caller,
            "submitted": utc_now(),
        }
        files = {"launch.sh": render_launch_script(request).encode()}
        if code:
            files["code.tar.gz"] = code.body
        files["run.json"] = json.dumps(
            run, indent=2, ensure_ascii=False
        ).encode()  # last: it makes the run exist
        head = _start(session, outputs, run_id, files, head)
    make_room(session)
    return Submitted(run_id, request, head)


def _prepare(session: Session, request: LaunchRequest) -> datasets.Dataset:
    """Return the job's dataset, prepared on this machine."""
    variables = session.cloud.process_environment()
    return datasets.prepare(session.project, request.dataset, request.recipe, request.overrides, variables)


def new_run_id() -> str:
    """Return an id that sorts by its time (UTC) and that nobody else takes in the same second."""
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return f"{moment}-{''.join(secrets.choice(_ID_LETTERS) for _ in range(5))}"


def _start(
    session: Session, outputs: EnvironmentOutputs, run_id: str, files: dict[str, bytes], head: str
) -> str:
    """Upload the run's files, send the command, and return whom it was sent to.

    Where either fails, what was uploaded is taken away.
    """
    s3, bucket = session.client("s3"), outputs.artifact_bucket
    uploaded: list[str] = []
    try:
        for name, body in files.items():
            key = f"runs/{run_id}/{name}"
            uploaded.append(key)
            s3.put_object(Bucket=bucket, Key=key, Body=body)
        head, command_id = send(session, outputs.run_document, run_id, head)
    except BaseException as error:
        left = _remove(s3, bucket, uploaded)
        if not isinstance(error, Exception):
            raise
        more = f"; {', '.join(left)} could not be removed from s3://{bucket}" if left else ""
        raise ActError(f"the run was not started: {error}{more}") from error
    about = {"instance_id": head, "command_id": command_id}
    # From here on the run is under way, whatever happens: without this file, is_lost looks for the command.
    with bearing_with_the_cloud():
        s3.put_object(Bucket=bucket, Key=f"runs/{run_id}/submission.json", Body=json.dumps(about).encode())
    return head


def send(session: Session, document: str, run_id: str, head: str) -> tuple[str, str]:
    """Tell the head of the run; return its instance id and the command's.

    Systems Manager lists a machine for minutes after its end, but refuses to send to it.
    """
    ssm = session.client("ssm")
    about = {"DocumentName": document, "Parameters": {"RunId": [run_id]}, "Comment": run_id}
    try:
        answer = ssm.send_command(InstanceIds=[head], **about)
    except Exception as error:
        if aws.error_code(error) != "InvalidInstanceId":
            raise
        head = running_head(session)
        answer = ssm.send_command(InstanceIds=[head], **about)
    return head, str(answer["Command"]["CommandId"])


def make_room(session: Session) -> None:
    """End the lost runs whose nodes this one would wait for; it is on its way by now."""
    with bearing_with_the_cloud():
        end_lost_holders(open_runs(session), session.ledger)


@contextmanager
def bearing_with_the_cloud() -> Iterator[None]:
    """Let a refusal of the cloud pass: whoever looks at the runs next makes up for it."""
    try:
        yield
    except (ActError, UserError):
        pass
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise


def _remove(s3: Any, bucket: str, keys: list[str]) -> list[str]:
    """Delete the objects and return those that could not be deleted."""
    left = []
    for key in reversed(keys):
        try:
            s3.delete_object(Bucket=bucket, Key=key)
        except Exception:
            left.append(key)
    return left
