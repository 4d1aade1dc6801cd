"""The lease of an environment: when it ends by the file and in the cloud, and how it is extended."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from fleet import aws
from fleet.bootstrap import read_state_object
from fleet.listings.ends import fires_at
from fleet.session import Session
from fleet.terraform_state import read_state
from fleet.whole_file import write_whole
from stacks import naming
from stacks.problems import Problem, UserError

EVENT = "lease.extended"
_LINE = re.compile(r"^(\s*lease_ends\s*=\s*)(\d{4}-\d{2}-\d{2})(?=\s*(#.*)?$)")


@dataclass(frozen=True, kw_only=True)
class LeaseStatus:
    """A lease as the file and the cloud have it; days are the last on which the environment may stand."""

    environment: str
    declared: datetime.date
    """By the file."""
    standing: datetime.date | None
    """By the schedule in the cloud, None where there is none."""
    today: datetime.date
    """By the cloud's clock, in UTC."""
    latest: datetime.date
    """The latest day that it may be extended to today."""
    warn_days: tuple[int, ...]
    emails: tuple[str, ...]
    at_rest: tuple[str, ...]
    """Auto Scaling groups that may start no machine, as the reaper leaves them."""

    @property
    def days_left(self) -> int:
        """Days until the end that holds in the cloud; 0 on the last day, negative once it has ended."""
        return ((self.standing or self.declared) - self.today).days

    @property
    def is_over(self) -> bool:
        """Whether the lease has ended."""
        return self.days_left < 0


@dataclass(frozen=True, kw_only=True)
class Extension:
    """A later end, and the edit of one line that declares it."""

    file: Path
    before: datetime.date
    until: datetime.date
    reason: str
    old_text: str
    new_text: str

    def write(self) -> None:
        """Put the later day into the file."""
        write_whole(self.file, self.new_text)

    def restore(self) -> bool:
        """Put the file back, unless somebody has edited it meanwhile; return whether it is as it was."""
        standing = self.file.read_text(encoding="utf-8")
        if standing == self.new_text:
            write_whole(self.file, self.old_text)
        return standing in (self.new_text, self.old_text)


def read_lease(session: Session) -> LeaseStatus:
    """Return how the lease stands. Raises UserError where the cloud does not answer."""
    assert session.caller, "the cloud has answered"
    with ThreadPoolExecutor(max_workers=2) as pool:
        standing, held = pool.submit(standing_end, session), pool.submit(groups, session)
        today = cloud_day(session)
    return LeaseStatus(
        environment=session.spec.name,
        declared=session.spec.lease_ends,
        standing=standing.result(),
        today=today,
        latest=session.account.lease.latest_day(today),
        warn_days=tuple(sorted(session.account.lease.warn_days, reverse=True)),
        emails=session.spec.alerts.emails,
        at_rest=tuple(each["AutoScalingGroupName"] for each in held.result() if _is_held(each)),
    )


def cloud_day(session: Session) -> datetime.date:
    """Return today's date in UTC as the cloud's answers are dated: the clock that ends the lease."""
    answer = session.client("sts", session.account.region).get_caller_identity()
    dated = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
    return parsedate_to_datetime(dated).astimezone(datetime.UTC).date()


def standing_end(session: Session) -> datetime.date | None:
    """Return the last day that the schedule in the cloud says, None where there is no such schedule."""
    name = naming.lease_name(session.spec.name, session.spec.region)
    scheduler = session.client("scheduler", session.account.region)
    try:
        fires = fires_at(scheduler.get_schedule(GroupName=name, Name=name)["ScheduleExpression"])
    except Exception as error:
        if aws.error_code(error) != "ResourceNotFoundException":
            raise
        return None
    return None if fires is None else (fires - datetime.timedelta(seconds=1)).date()


def groups(session: Session) -> list[dict[str, Any]]:
    """Return the environment's Auto Scaling groups."""
    filters = [{"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]}]
    pages = session.client("autoscaling").get_paginator("describe_auto_scaling_groups")
    return [each for page in pages.paginate(Filters=filters) for each in page["AutoScalingGroups"]]


def let_groups_start(session: Session) -> list[str]:
    """Let the groups that the reaper holds back start machines again; return their names.

    For before Terraform sets their sizes: it would wait in vain for machines of a group that starts none.
    Each first gets the tag with the end that is declared, or the reaper's next look would hold it back again.
    """
    client, freed = session.client("autoscaling"), []
    for each in groups(session):
        if not _is_held(each):
            continue
        name = each["AutoScalingGroupName"]
        tag = {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": naming.TAG_LEASE_ENDS,
            "Value": session.spec.lease_ends.isoformat(),
            "PropagateAtLaunch": True,
        }
        client.create_or_update_tags(Tags=[tag])
        client.resume_processes(AutoScalingGroupName=name)
        freed.append(name)
    return freed


def _is_held(group: dict[str, Any]) -> bool:
    """Return whether a group starts no machines, which the stacks never ask for."""
    return any(each["ProcessName"] == "Launch" for each in group.get("SuspendedProcesses", []))


def propose(session: Session, until: datetime.date, reason: str) -> Extension:
    """Return the extension, nothing written yet. Raises UserError with all that speaks against it."""
    status, spec = read_lease(session), session.spec
    problems = []
    if until > status.latest:
        what = f"{until} is further than {session.account.lease.max_days} days from today, {status.today}"
        problems.append(Problem(path="--until", what=what, do=f"take {status.latest} at the latest"))
    if until <= max(spec.lease_ends, status.standing or spec.lease_ends) or until < status.today:
        what = f"{until} is no later than {spec.lease_ends}, when the lease ends, or is over"
        do = "take a later day; to shorten a lease, set `lease_ends` in the file and run `fleetform up`"
        problems.append(Problem(path="--until", what=what, do=do))
    if not reason.strip():
        do = "say why in a few words; it is put on record"
        problems.append(Problem(path="--reason", what="there is no reason", do=do))
    if not standing_stacks(session):
        do = f"set `lease_ends` in the file; `fleetform up {spec.name}` builds it"
        problems.append(Problem(what=f"{spec.name} does not stand, so there is nothing to extend", do=do))
    if problems:
        raise UserError(problems)
    file = session.project.environment_file(spec.name)
    text = file.read_text(encoding="utf-8")
    return Extension(
        file=file,
        before=spec.lease_ends,
        until=until,
        reason=reason.strip(),
        old_text=text,
        new_text=with_lease(text, until),
    )


def with_lease(text: str, until: datetime.date) -> str:
    """Return the file's text with that day in the one line that says when the lease ends.

    Raises UserError where the day stands in another form than a line `lease_ends = DATE` of its own.
    """
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.lstrip().startswith("["):
            break  # what follows belongs to tables
        if _LINE.match(line.rstrip("\r\n")):
            lines[number] = _LINE.sub(rf"\g<1>{until.isoformat()}", line.rstrip("\r\n"), count=1)
            lines[number] += line[len(line.rstrip("\r\n")) :]
            changed = "".join(lines)
            if tomllib.loads(changed) == {**tomllib.loads(text), "lease_ends": until}:
                return changed
    raise UserError.of(
        "the file does not say `lease_ends = DATE` in a line of its own",
        f"set it to {until} by hand, then run `fleetform up`",
        path="lease_ends",
    )


def standing_stacks(session: Session) -> tuple[str, ...]:
    """Return those of the environment's stacks that stand: only these are changed by an extension."""
    return tuple(
        name
        for name in naming.environment_stacks(session.spec.name)
        if read_state(read_state_object(session.cloud, session.account, name))
    )


def settle_failure(session: Session, extension: Extension, tell: Callable[[str], None]) -> None:
    """Leave file and cloud saying the same after a failed extension, or tell what to do where they do not."""
    name = session.spec.name
    try:
        standing = standing_end(session)
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        tell(f"it cannot be told what the cloud has now; `fleetform up {name}` applies the file")
        return
    if standing == extension.until:
        tell(
            f"the end of {name} is {extension.until} now, but its machines may still carry "
            f"{extension.before}, at which they would end; `fleetform up {name}` goes on from here"
        )
    elif extension.restore():
        tell(f"nothing of the lease was changed; the file says {extension.before} again")
    else:
        tell(
            f"nothing of the lease was changed, and the file was edited meanwhile: the lease still ends on "
            f"{extension.before}, whatever `lease_ends` in the file says"
        )
