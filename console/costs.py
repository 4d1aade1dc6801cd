"""What environments came to in a period, remembered for a minute: adding it up reads every run of it."""

from __future__ import annotations

import datetime
import threading
from collections import OrderedDict
from collections.abc import Callable

from console.known_runs import KnownRuns
from console.remembered import Remembered
from fleet.costs.read import EnvironmentCosts, History, environment_costs
from fleet.ledger_reading import Entry
from fleet.session import Session

_SECONDS, _AT_MOST = 60.0, 300.0
"""How old what is shown may be while somebody looks, and after how long without it is added up before."""
_KEPT = 64
"""Of how many environments and periods it is remembered; what was asked for longest ago goes first."""
Period = tuple[datetime.datetime, datetime.datetime]


class KnownCosts:
    """The costs of all environments, shared by all requests."""

    def __init__(
        self,
        runs: KnownRuns,
        history: Callable[[Session], History],
        on_record: Callable[[Session], list[Entry]],
    ) -> None:
        """Look at nothing yet; `history` has an environment's building and teardown, `on_record` its runs."""
        self._runs, self._history, self._on_record = runs, history, on_record
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, Period], tuple[Session, Remembered[EnvironmentCosts]]] = (
            OrderedDict()
        )

    def of(self, session: Session, period: Period, seconds: float) -> EnvironmentCosts | None:
        """Return what an environment came to, None where adding it up for the first time takes longer.

        The trail is not read for it: a page must not take minutes, and the command does.
        """
        key = (session.spec.name, period)
        with self._lock:
            known = self._known.get(key)
            if known is None or known[0] != session:
                known = (session, Remembered(lambda: self._add_up(session, period), _SECONDS, _AT_MOST))
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return known[1].within(seconds)

    def _add_up(self, session: Session, period: Period) -> EnvironmentCosts:
        return environment_costs(
            session,
            *period,
            history=self._history,
            on_record=self._on_record,
            runs=self._runs.of(session).store,
        )
