"""Runs that wait because EC2 has no machines, or none that work; each failure makes the pause longer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.elastic.capacity import Refusal
from node.elastic.head import state_folder, write_whole

FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 900.0
PAUSE_VARIABLE = "FLEETFORM_CAPACITY_PAUSE"
"""Seconds of the first pause instead of FIRST_PAUSE_S, for rehearsals."""
_SPREAD = 0.1
"""Pauses are longer by up to this share, drawn by lot, so that heads do not ask in step."""
_FILE = "held.json"
_FADED_S = 3600.0
"""A failure tells nothing of another one that comes so long after its pause."""
_CAPACITY, _MACHINES, _RUNS = "fleets", "machines", "runs"
"""Parts of the file: fleets that EC2 has nothing of, fleets whose machines do not work, runs that wait."""
_KEPT_S = 60.0
"""A hold that is over is forgotten after so long: its run has been started by then, or is held anew."""


@dataclass(frozen=True)
class Held:
    """A run, or the next runs of a fleet, that are held back."""

    fleet: str
    count: int
    """Machines that were asked for; fewer may be tried."""
    tries: int
    """Failures in a row."""
    until: float
    """When it is tried again, seconds since the epoch."""
    message: str
    """`no capacity for 4 g5.xlarge until 21:04 UTC, tried 3 times`."""
    began: float = 0.0
    """When the last of the failures was, seconds since the epoch."""


def pause(tries: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    first = float(os.environ.get(PAUSE_VARIABLE) or FIRST_PAUSE_S)
    seconds = min(first * 2.0 ** (tries - 1), LONGEST_PAUSE_S)
    return seconds * random.SystemRandom().uniform(1.0, 1.0 + _SPREAD)


def describe(refusals: Sequence[Refusal], count: int, instance_type: str, until: float, tries: int) -> str:
    """Return in one line why there are no machines, and when it is tried again."""
    clock = time.strftime("%H:%M", time.gmtime(until))
    times = "once" if tries == 1 else f"{tries} times"
    other = next((each for each in refusals if not each.is_capacity), None)
    if other is None:
        return f"no capacity for {count} {instance_type} until {clock} UTC, tried {times}"
    reason = " ".join(other.message.split())[:160] or other.code
    if not other.purchase:
        return f"{reason}; tried {times}, again at {clock} UTC"
    return f"EC2 refuses {count} {instance_type} ({reason}); tried {times}, again at {clock} UTC"


@dataclass(frozen=True)
class Backoff:
    """The holds of one environment, in a file that several programs write to."""

    folder: Path

    def closed(self, fleet: str, count: int) -> Held | None:
        """Return the hold that stands against asking EC2 now for so many machines of a fleet."""
        known = self._read()
        found = [known[part][fleet] for part in (_CAPACITY, _MACHINES) if fleet in known[part]]
        shut = [each for each in found if each.until > time.time() and count >= each.count]
        return max(shut, key=lambda each: each.until, default=None)

    def refuse(
        self, fleet: str, count: int, instance_type: str, refusals: Sequence[Refusal], runs: Sequence[str]
    ) -> Held:
        """Hold the runs back, and the fleet: longer than the last time, if that time was over."""
        with self._changing() as known:
            now, before = time.time(), _fresh(known[_CAPACITY].get(fleet))
            if before is not None and before.until > now and count >= before.count:
                held = before  # another run's attempt failed meanwhile: this one tells nothing new
            else:
                tries = before.tries + 1 if before else 1
                until = now + pause(tries)
                message = describe(refusals, count, instance_type, until, tries)
                smallest = min(count, before.count) if before else count
                held = Held(fleet, smallest, tries, until, message, now)
                known[_CAPACITY][fleet] = held
            for run in runs:
                known[_RUNS][run] = held
        return held

    def rest(self, fleet: str, reason: str, *, forgiven: int = 0) -> Held:
        """Let a fleet rest whose machines were bought and do not work, longer than the last time.

        The first `forgiven` failures cost no pause. Starting machines proves nothing against it: proved().
        """
        with self._changing() as known:
            now, before = time.time(), _fresh(known[_MACHINES].get(fleet))
            if before is not None and before.until > now:
                return before
            tries = before.tries + 1 if before else 1
            until = now + (pause(tries - forgiven) if tries > forgiven else 0.0)
            message = describe([Refusal("", "", reason)], 1, "", until, tries)
            known[_MACHINES][fleet] = Held(fleet, 1, tries, until, message, now)
            return known[_MACHINES][fleet]

    def rests(self) -> dict[str, Held]:
        """Return what is known of fleets whose machines did not work, also where the pause is over."""
        return self._read()[_MACHINES]

    def proved(self, fleet: str) -> None:
        """Forget that machines of a fleet did not work: a later one does."""
        with self._changing() as known:
            known[_MACHINES].pop(fleet, None)

    def hold(self, held: Held, runs: Sequence[str]) -> None:
        """Hold further runs back for the same reason."""
        with self._changing() as known:
            for run in runs:
                known[_RUNS][run] = held

    def served(self, fleet: str, count: int, runs: Sequence[str]) -> None:
        """Forget the failures of a fleet that so many machines were started of, and release the runs."""
        known = self._read()
        if fleet not in known[_CAPACITY] and not set(runs) & set(known[_RUNS]):
            return
        with self._changing() as changed:
            before = changed[_CAPACITY].get(fleet)
            if before is not None and count >= before.count:
                del changed[_CAPACITY][fleet]
            for run in runs:
                changed[_RUNS].pop(run, None)

    def held(self) -> dict[str, Held]:
        """Return the runs that are held back now."""
        return {run: held for run, held in self._read()[_RUNS].items() if held.until > time.time()}

    def _read(self) -> dict[str, dict[str, Held]]:
        try:
            told: dict[str, Any] = json.loads((self.folder / _FILE).read_text())
        except (OSError, ValueError):
            told = {}
        return {
            part: {name: Held(**values) for name, values in told.get(part, {}).items()}
            for part in (_CAPACITY, _MACHINES, _RUNS)
        }

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, dict[str, Held]]]:
        """Yield the holds for a change that no other program makes at the same time."""
        with locked(self.folder / f"{_FILE}.lock"):
            known = self._read()
            yield known
            forgotten = time.time() - _KEPT_S
            known[_RUNS] = {run: held for run, held in known[_RUNS].items() if held.until > forgotten}
            parts = {
                part: {name: asdict(held) for name, held in each.items()} for part, each in known.items()
            }
            write_whole(self.folder / _FILE, json.dumps(parts))


def _fresh(held: Held | None) -> Held | None:
    """Return what still tells something of a failure now."""
    return held if held is not None and held.until > time.time() - _FADED_S else None


@contextlib.contextmanager
def locked(file: Path, give_up: Callable[[], BaseException] | None = None) -> Iterator[None]:
    """Hold a lock while the block runs: waiting for it, or with `give_up` raising that where it is taken.

    The kernel frees it with the process. It is opened for reading, so that root's file is another's lock too.
    """
    handle = os.open(file, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if give_up else 0))
        yield
    except BlockingIOError as error:
        if give_up is None:
            raise
        raise give_up() from error
    finally:
        os.close(handle)


def held() -> dict[str, Held]:
    """Return the runs of this head's cluster that are held back now, by their ids."""
    return Backoff(state_folder()).held()
