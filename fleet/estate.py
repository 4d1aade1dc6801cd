"""An environment's stacks as folders in which Terraform works: the account's, the base and the fleet."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fleet.bootstrap import account_buckets, bucket_birth
from fleet.preflight import require_preflight
from fleet.session import Session
from fleet.standing import require_same_region
from fleet.synth import output_folder, stack_folder, synthesize
from fleet.terraform import Stack
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_find import child_environment, find_terraform
from fleet.terraform_lock import StateLock, set_aside
from fleet.whole_file import write_whole
from stacks import naming


def stack_names(session: Session) -> tuple[str, ...]:
    """Return the three stacks in the order of creation."""
    return (naming.ACCOUNT_STACK, *naming.environment_stacks(session.spec.name))


def open_stack(session: Session, name: str, report: Report, folder: Path | None = None) -> Stack:
    """Return a stack of the environment; a lock of a dead holder that it breaks is put on record."""

    def record_unlock(lock: StateLock, proof: str) -> None:
        details = {"stack": name, "lock": lock.id, "held_by": str(lock), "proof": proof}
        session.ledger.append("state.unlock", session.spec.name, "recorded", details)

    return Stack(
        name=name,
        folder=folder or stack_folder(output_folder(session), name),
        cloud=session.cloud,
        cache=session.project.home / "provider.json",
        report=report,
        on_unlock=record_unlock,
    )


def prepare(session: Session, report: Report, *, building: bool = False) -> Path:
    """Synthesize the stacks and return the folder, after each terraform still at work on them has ended.

    With `building` the environment is held against the cloud meanwhile (`fleet/preflight.py`). Raises
    UserError where the cloud does not answer or has no room for it, there is no terraform, or the environment
    stands in another region; nothing has been touched then.
    """
    find_terraform(child_environment(session.cloud.process_environment()))
    for name in stack_names(session):
        open_stack(session, name, report).wait()
    with ThreadPoolExecutor(max_workers=1) as pool:
        synthesis = pool.submit(synthesize, session)
        assert session.caller, "the cloud has answered"
        require_same_region(session)
        forget_lost_cloud(session, report)
        if building:
            require_preflight(session, report)
        return synthesis.result()


def forget_lost_cloud(session: Session, report: Report) -> None:
    """Set aside what belongs to an emulated cloud that was lost and started anew under the same name.

    Such a cloud forgets everything, and a state that could not be written to the old one must not be written
    to the new one. The state bucket's age tells them apart. AWS itself is never lost.
    """
    if session.cloud.endpoint is None:
        return
    bucket = account_buckets(session.account)[0]
    born = bucket_birth(session.cloud, session.account, bucket)
    mark = session.project.work(session.cloud.name, session.spec.name) / "state-bucket.json"
    known = json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else ""
    if known and known != born:
        for name in stack_names(session):
            folder = stack_folder(output_folder(session), name)
            if folder.is_dir() and set_aside(folder):
                text = f"{name}: set aside what an emulated cloud that is gone had left"
                report(ProgressEvent(kind="note", stack=name, text=text))
    mark.parent.mkdir(parents=True, exist_ok=True)
    write_whole(mark, json.dumps(born))
