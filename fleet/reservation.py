"""Takes from the budget what a run may cost, before the run is there: two submits cannot both have the rest.

The look at the budget and the note that it is taken are one step: the note is written only where nobody else
has written one since before the look. Once the run's own `run.json` is there it counts by that, for as long
as it is active; its receipt then says what it has really cost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet import aws
from fleet.budget import Budget
from fleet.errors import ActError
from fleet.handover import bearing_with_the_cloud
from fleet.holds import LASTS, Holds, change_holds, new_hold, read_holds, write_holds
from fleet.limits import HeldByOthersError, limiting
from fleet.run_store import RunStore, team_of
from fleet.session import Session
from stacks.problems import UserError

Check = Callable[[], Budget | None]
"""Holds the run against what is left of the budget; raises UserError where it does not fit."""
_RENEW = LASTS / 3
"""Seconds after which a hold is taken anew before it is relied on: clocks of machines differ a little."""
_POLL = 2.0
_ROUNDS = 200
"""How often others may be quicker, one submit after the other, before this one gives up."""


@contextmanager
def reserving(
    session: Session,
    store: RunStore,
    run_id: str,
    usd: float | None,
    check: Check | None,
    on_wait: Callable[[str], None] = lambda said: None,
) -> Iterator[Callable[[], None]]:
    """Hold `usd` for the run while the block makes it; call what it yields just before the run is there.

    Nothing is held where no limit is set that the run counts against. Without `check` the run may go over
    it, and is held all the same, so that others see it. Where nothing but other submits is in the way, these
    are waited for, which `on_wait` is told. Raises UserError where it does not fit.
    """
    if usd is None or not limiting(session.spec, team_of(run_id)):
        yield lambda: None
        return
    held = _Reservation(store, run_id, usd, check, on_wait)
    held.take()
    try:
        yield held.keep
    finally:
        held.release()


class _Reservation:
    """What is held for one run."""

    def __init__(
        self, store: RunStore, run_id: str, usd: float, check: Check | None, on_wait: Callable[[str], None]
    ) -> None:
        self._store, self._run_id, self._usd = store, run_id, usd
        self._check, self._on_wait = check, on_wait
        self._taken = 0.0

    def take(self) -> None:
        """Hold the money, where it is there to be held."""
        deadline = time.monotonic() + LASTS + 4 * _POLL
        for _ in range(_ROUNDS):
            begun = time.monotonic()
            holds = self._read()  # before the look: who writes after this is found out at the write
            try:
                if self._check is not None:
                    self._check()
            except HeldByOthersError:
                if time.monotonic() > deadline:
                    raise
                self._on_wait("another submit holds what is left of the budget: waiting for it")
                time.sleep(_POLL)
                continue
            if self._write(holds):
                self._taken = begun
                return
        raise ActError("other submits were quicker again and again: try once more")

    def _read(self) -> Holds:
        with _for_people():
            return read_holds(self._store)

    def _write(self, holds: Holds) -> bool:
        mine = {**holds.by_run, self._run_id: new_hold(self._usd)}
        with _for_people():
            return write_holds(self._store, holds, mine)

    def keep(self) -> None:
        """Make sure that it is held still: what came before may have taken long."""
        if time.monotonic() - self._taken > _RENEW:
            self.take()

    def release(self) -> None:
        """Hold it no more; where the cloud refuses, it lapses by itself."""
        with bearing_with_the_cloud():
            change_holds(
                self._store, lambda held: {name: each for name, each in held.items() if name != self._run_id}
            )


@contextmanager
def _for_people() -> Iterator[None]:
    """Say a refusal of S3 so that somebody can do something about it: nothing starts that cannot be held."""
    try:
        yield
    except Exception as error:
        if aws.error_code(error) != "AccessDenied":
            raise
        what = "your role may not note what the run takes from the budget"
        raise UserError.of(what, "have the environment brought up to date: `fleetform up`") from error
