"""EventBridge Scheduler's engine: looks every second which schedules are due, and calls their targets.

A schedule's call is made with its own role, whose trust policy must admit the scheduler for the schedule's
group, and through the API, where the role's permissions count. One that is refused is tried again.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from moto.scheduler.models import scheduler_backends

from sandbox.expressions import is_one_time, parse_expression
from sandbox.functions import Functions
from sandbox.iam.credentials import credentials_for_role
from sandbox.parts import Parts

_TICK_SECONDS = 1.0
_IDLE_SECONDS = 120.0
"""How long a step of the clock waits for the functions that it has called."""
_ATTEMPTS = 4
"""Most attempts at one call; the cloud makes up to 185 over a day, where the schedule says nothing else."""
_PAUSE_SECONDS = 0.5
_KEPT = 500


@dataclass(frozen=True)
class Fired:
    """One attempt at one call, for `/_sandbox/fired`."""

    schedule: str
    due: str
    attempt: int
    target: str
    error: str
    """"" where the target took the call."""


class Scheduler:
    """Every schedule of every account and region."""

    def __init__(self, parts: Parts, functions: Functions) -> None:
        self._parts = parts
        self._functions = functions
        self._looked = parts.clock.now()
        """Until when everything that was due has been called."""
        self._lock = threading.Lock()
        self.fired: deque[Fired] = deque(maxlen=_KEPT)

    def start(self) -> None:
        """Look every second from now on."""
        threading.Thread(target=self._tick_for_ever, daemon=True).start()

    def forward(self, seconds: float) -> dict[str, object]:
        """Put the clock forward from one due call to the next, each ended before the next is made.

        Of a recurring schedule only the last time on the way is called. Raises ValueError for a step back.
        """
        clock, idle = self._parts.clock, True
        if seconds < 0:
            raise ValueError("the clock goes forward only")
        with self._lock:
            target = clock.now() + timedelta(seconds=seconds)
            for moment, schedule in self._due_until(target):
                clock.forward(max(0.0, (moment - clock.now()).total_seconds()))
                self._fire(moment, schedule)
                idle = self._functions.wait_until_idle(_IDLE_SECONDS) and idle
            clock.forward(max(0.0, (target - clock.now()).total_seconds()))
            self._looked = max(self._looked, target)
        return {**clock.describe(), "idle": idle}

    def tick(self) -> None:
        """Call what has become due since the last look, in the order of its times."""
        with self._lock:
            now = self._parts.clock.now()
            for moment, schedule in self._due_until(now):
                self._fire(moment, schedule)
            self._looked = max(self._looked, now)

    def _due_until(self, until: datetime) -> list[tuple[datetime, Any]]:
        with self._parts.turn:
            return sorted(self._due(self._looked, until), key=lambda each: each[0])

    def _due(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, Any]]:
        for by_region in list(scheduler_backends.values()):
            for backend in list(by_region.values()):
                for group in list(backend.schedule_groups.values()):
                    for schedule in list(group.schedules.values()):
                        moment = due_between(schedule, since, until)
                        if moment is not None and schedule.state == "ENABLED":
                            yield moment, schedule

    def _fire(self, moment: datetime, schedule: Any) -> None:
        """Call one target, again where it is refused; what is called runs in the background."""
        most = min(_ATTEMPTS, 1 + schedule.target["RetryPolicy"].get("MaximumRetryAttempts", _ATTEMPTS))
        for attempt in range(1, most + 1):
            error = ""
            try:
                self._call(moment, schedule, attempt)
            except Exception as refused:
                error = f"{type(refused).__name__}: {refused}"
            self.fired.append(Fired(schedule.arn, moment.isoformat(), attempt, schedule.target["Arn"], error))
            if not error:
                break
            time.sleep(_PAUSE_SECONDS * attempt)
        if is_one_time(schedule.schedule_expression) and schedule.action_after_completion == "DELETE":
            self._forget(schedule)

    def _call(self, moment: datetime, schedule: Any, attempt: int) -> None:
        target = schedule.target
        service = target["Arn"].split(":")[2]
        if service != "lambda":
            raise NotImplementedError(f"schedules that call {service} are not emulated")
        region, account = schedule.arn.split(":")[3:5]
        group = schedule.arn.replace(":schedule/", ":schedule-group/").rpartition("/")[0]
        name = f"{account}-{uuid.uuid4().hex[:12]}"
        access_key, secret_key, token = credentials_for_role(
            target["RoleArn"], name, "scheduler", source_arn=group
        )
        client = boto3.client(
            service,
            region_name=region,
            endpoint_url=self._parts.nodes.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token,
        )
        payload = filled(target.get("Input") or "{}", moment, schedule, attempt)
        client.invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=payload.encode())

    def _forget(self, schedule: Any) -> None:
        """Delete a schedule that has made its one call and asks for that."""
        region, account = schedule.arn.split(":")[3:5]
        groups = scheduler_backends[account][region].schedule_groups
        with self._parts.turn:
            if schedule.group_name in groups:
                groups[schedule.group_name].schedules.pop(schedule.name, None)

    def _tick_for_ever(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            try:
                self.tick()
            except Exception:  # a bug here must not end all schedules without a word
                traceback.print_exc(file=sys.stderr)


def due_between(schedule: Any, since: datetime, until: datetime) -> datetime | None:
    """Return the last time in the span that moto's schedule is due, within its own start and end."""
    began = datetime.fromtimestamp(schedule.creation_date, UTC)
    if schedule.start_date:
        began = max(began, datetime.fromtimestamp(float(schedule.start_date), UTC))
        since = max(since, began - timedelta(seconds=1))
    if schedule.end_date and not is_one_time(schedule.schedule_expression):
        until = min(until, datetime.fromtimestamp(float(schedule.end_date), UTC))
    due = parse_expression(schedule.schedule_expression, schedule.schedule_expression_timezone, began)
    return due(since, until)


def filled(text: str, moment: datetime, schedule: Any, attempt: int) -> str:
    """Return a target's input with the context attributes that EventBridge Scheduler fills in."""
    attributes = {
        "schedule-arn": schedule.arn,
        "scheduled-time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": uuid.uuid4().hex,
        "attempt-number": str(attempt),
    }
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def clock_page(scheduler: Scheduler) -> Callable[[bytes], object]:
    """Return the answer to `POST /_sandbox/clock`, whose body is `{"forward_s": SECONDS}`."""

    def answer(body: bytes) -> object:
        return scheduler.forward(float(json.loads(body)["forward_s"]))

    return answer


def fired_page(scheduler: Scheduler) -> Callable[[bytes], object]:
    """Return the answer to `GET /_sandbox/fired`: the latest calls, oldest first."""
    return lambda _: [asdict(each) for each in scheduler.fired]
