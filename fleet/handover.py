"""Hands a run to its head node: its files into the bucket, one command, and the queue's answer to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from fleet import aws
from fleet.clock import utc_now
from fleet.errors import ActError
from fleet.head import running_head
from fleet.run_store import FINAL_EVENTS, RunStore
from fleet.runs import events_of, read_events
from fleet.session import Session
from stacks.problems import UserError

ANSWER_SECONDS = 30.0
"""How long the queue's answer is waited for: it comes within a second from a head that stands."""
ENDED_COMMAND = frozenset({"Success", "Failed", "Cancelled", "TimedOut"})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 0.5
_LOOKS_AT_COMMAND = 4
"""Systems Manager tells of a command's end more slowly than the bucket, so it is asked less often."""
_UPLOADS = 16


def hand_over(
    session: Session, bucket: str, document: str, head: str, run_id: str, files: Mapping[str, bytes]
) -> tuple[str, str]:
    """Upload the files, by their names below `runs/`, last the one that makes it exist; send the command.

    Return the head's instance id and the command's. Where either fails, what was uploaded is taken away.
    """
    s3 = session.client("s3")
    uploaded: list[str] = []
    try:
        _upload(s3, bucket, files, uploaded)
        head, command_id = send(session, document, {"RunId": run_id}, head, run_id)
    except BaseException as error:
        left = _remove(s3, bucket, uploaded)
        if not isinstance(error, Exception):
            raise
        more = f"; {', '.join(left)} could not be removed from s3://{bucket}" if left else ""
        raise ActError(f"the run was not started: {error}{more}") from error
    # From here on the run is under way, whatever happens: without this file, is_lost looks for the command.
    with bearing_with_the_cloud():
        body = json.dumps({"instance_id": head, "command_id": command_id}).encode()
        s3.put_object(Bucket=bucket, Key=f"runs/{run_id}/submission.json", Body=body)
    return head, command_id


def _upload(s3: Any, bucket: str, files: Mapping[str, bytes], uploaded: list[str]) -> None:
    """Upload the files, many at once where they are many; the last one comes last."""

    def put(name: str) -> None:
        uploaded.append(f"runs/{name}")
        s3.put_object(Bucket=bucket, Key=f"runs/{name}", Body=files[name])

    *first, last = files
    if len(first) > _UPLOADS:
        with ThreadPoolExecutor(max_workers=_UPLOADS) as pool:
            list(pool.map(put, first))
    else:
        for name in first:
            put(name)
    put(last)


def send(
    session: Session, document: str, parameters: Mapping[str, str], head: str, comment: str
) -> tuple[str, str]:
    """Send the head a command; return its instance id and the command's.

    Systems Manager lists a machine for minutes after its end, but refuses to send to it.
    """
    ssm = session.client("ssm")
    values = {name: [value] for name, value in parameters.items()}
    about = {"DocumentName": document, "Parameters": values, "Comment": comment}
    try:
        answer = ssm.send_command(InstanceIds=[head], **about)
    except Exception as error:
        if aws.error_code(error) != "InvalidInstanceId":
            raise
        head = running_head(session)
        answer = ssm.send_command(InstanceIds=[head], **about)
    return head, str(answer["Command"]["CommandId"])


def await_queued(
    store: RunStore, run_id: str, attempt: int, told: tuple[str, str], wait_s: float = ANSWER_SECONDS
) -> bool:
    """Return whether the queue has taken the run up; False where it has not answered within `wait_s`.

    `told` is the head's instance id and the command's. Raises ActError with the reason where it was refused,
    or where the head could not even ask the queue: the run is then ended as FAILED.
    """
    deadline, pause, looks = time.monotonic() + wait_s, _FIRST_PAUSE, 0
    while time.monotonic() < deadline:
        if _taken_up(store, run_id, attempt):
            return True
        looks += 1
        if looks % _LOOKS_AT_COMMAND == 0:
            status, said = command_answer(store, *told)
            if status in ENDED_COMMAND and status != "Success" and not _taken_up(store, run_id, attempt):
                _end_unheard(
                    store, run_id, attempt, said or f"the command to the head node ended as {status}"
                )
        time.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.2)
    return False


def _taken_up(store: RunStore, run_id: str, attempt: int) -> bool:
    """Return whether the run is queued or beyond; raises ActError where it was refused."""
    events = events_of(read_events(store, run_id), attempt)
    if not events:
        return False
    last = events[-1]
    refused = last["event"] == "FAILED" and all(each["event"] != "RUNNING" for each in events)
    if refused:
        raise ActError(f"the queue refused the run {run_id}: {last['detail'].get('cause', '')}")
    return last["event"] in FINAL_EVENTS or any(each["event"] == "QUEUED" for each in events)


def _end_unheard(store: RunStore, run_id: str, attempt: int, why: str) -> None:
    """End a run that the queue does not know, and raise ActError; where it does after all, leave it to it."""
    line = {"time": utc_now(), "event": "FAILED", "detail": {"cause": f"it did not reach the queue: {why}"}}
    if store.append_line(run_id, "events.jsonl", line):
        raise ActError(f"the run {run_id} did not reach the queue: {why}")
    _taken_up(store, run_id, attempt)


def command_answer(store: RunStore, instance_id: str, command_id: str) -> tuple[str, str]:
    """Return a command's status, and the end of what it said on standard error, else on standard output."""
    try:
        answer = store.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except Exception as error:
        if aws.error_code(error) != "InvocationDoesNotExist":
            raise
        return "Pending", ""
    said = str(answer.get("StandardErrorContent") or answer.get("StandardOutputContent") or "")
    return str(answer["Status"]), said.strip()[-2000:]


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
    left: list[str] = []
    for key in reversed(keys):
        try:
            s3.delete_object(Bucket=bucket, Key=key)
        except Exception:
            left.append(key)
    return left


def request_text(run: Mapping[str, Any]) -> bytes:
    """Return the body of a `run.json`."""
    return json.dumps(run, indent=2, ensure_ascii=False).encode()
