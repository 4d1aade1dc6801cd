"""Hands a run to its head node: its files into the bucket, and one command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.head import running_head
from fleet.run_store import RunStore
from fleet.session import Session
from stacks.problems import UserError

ANSWER_SECONDS = 30.0
"""How long the queue's answer is waited for: it comes within a second from a head that stands."""
ENDED_COMMAND = frozenset({"Success", "Failed", "Cancelled", "TimedOut"})
_EXIT_UNHEARD = 75
"""Of a command whose head still starts, or whose queue does not answer."""
_UPLOADS = 16
Told = tuple[str, str]
"""A head's instance id, and that of the command to it."""


def hand_over(
    session: Session,
    store: RunStore,
    document: str,
    head: str,
    run_id: str,
    files: Mapping[str, bytes],
    before_it_exists: Callable[[], None] = lambda: None,
) -> Told:
    """Upload the files, by their names below `runs/`, last the one that makes it exist; send the command.

    `before_it_exists` is called just before that last one. Where anything fails, what was uploaded is taken
    away.
    """
    uploaded: list[str] = []
    try:
        _upload(store, files, uploaded, before_it_exists)
        told = send(session, document, {"RunId": run_id}, head, run_id)
    except BaseException as error:
        left = _remove(store, uploaded)
        if not isinstance(error, Exception):
            raise
        more = f"; {', '.join(left)} could not be removed from s3://{store.bucket}" if left else ""
        raise ActError(f"the run was not started: {error}{more}") from error
    note_command(store, run_id, told)
    return told


def note_command(store: RunStore, run_id: str, told: Told) -> None:
    """Write which command carries the run; it is under way, so that a refusal is borne with.

    Without this file, is_lost looks for the command.
    """
    with bearing_with_the_cloud():
        store.put(run_id, "submission.json", {"instance_id": told[0], "command_id": told[1]})


def _upload(
    store: RunStore, files: Mapping[str, bytes], uploaded: list[str], before_last: Callable[[], None]
) -> None:
    """Upload the files, many at once where they are many; the last one comes last."""
    s3 = store.s3  # made before there are threads

    def put(name: str) -> None:
        uploaded.append(f"runs/{name}")
        s3.put_object(Bucket=store.bucket, Key=f"runs/{name}", Body=files[name])

    *first, last = files
    if len(first) > _UPLOADS:
        with ThreadPoolExecutor(max_workers=_UPLOADS) as pool:
            list(pool.map(put, first))
    else:
        for name in first:
            put(name)
    before_last()
    put(last)


def send(session: Session, document: str, parameters: Mapping[str, str], head: str, comment: str) -> Told:
    """Send the head a command and return it.

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


@dataclass(frozen=True)
class CommandAnswer:
    """What became of a command to the head node."""

    status: str
    """`Pending`, `InProgress`, `Success`, `Failed`, ...; see ENDED_COMMAND."""
    said: str
    """The end of what it said on standard error, else on standard output."""
    code: int
    """Its exit code; -1 where it has none (yet)."""

    @property
    def unheard(self) -> bool:
        """Whether it has ended without having reached the queue, so that it is worth sending again."""
        if self.status not in ENDED_COMMAND or self.status == "Success":
            return False
        return self.status != "Failed" or self.code in (-1, _EXIT_UNHEARD)

    @property
    def refused(self) -> bool:
        """Whether the queue, or the head itself, has said no."""
        return self.status == "Failed" and not self.unheard


def command_answer(store: RunStore, instance_id: str, command_id: str) -> CommandAnswer:
    """Return what became of a command, as far as Systems Manager knows."""
    try:
        answer = store.ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except Exception as error:
        if aws.error_code(error) != "InvocationDoesNotExist":
            raise
        return CommandAnswer("Pending", "", -1)
    said = str(answer.get("StandardErrorContent") or answer.get("StandardOutputContent") or "")
    return CommandAnswer(str(answer["Status"]), said.strip()[-2000:], int(answer.get("ResponseCode", -1)))


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


def _remove(store: RunStore, keys: list[str]) -> list[str]:
    """Delete the objects and return those that could not be deleted."""
    left: list[str] = []
    for key in reversed(keys):
        try:
            store.s3.delete_object(Bucket=store.bucket, Key=key)
        except Exception:
            left.append(key)
    return left


def request_text(run: Mapping[str, Any]) -> bytes:
    """Return the body of a `run.json`."""
    return json.dumps(run, indent=2, ensure_ascii=False).encode()
