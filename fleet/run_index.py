"""An environment's runs by pages, newest first, without reading those that are known to have ended.

The truth stays in the run directories: the ids come from a listing, which goes on where the last one has
been; what has ended is remembered, what has not is read again. An ended run comes back to life where somebody
resumes it: its `run.json` is another one then, which is looked at in turn.
"""

from __future__ import annotations

import datetime
import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.at_once import each_at_once
from fleet.run_memory import Known, RunMemory
from fleet.run_store import RunStore, by_time, open_runs
from fleet.runs import RunStatus, read_events, run_status
from fleet.session import Session

_NEWEST = 100
"""How many of the newest runs a refresh reads; older ones are read when somebody asks for them."""
_AGAIN = 50
"""How many ended runs are looked at again at a time, whether they were resumed."""
_MOST_READS = 300
"""How many unknown runs are read for one page, however few of them it asks for."""
_WHOLE_SECONDS = 600.0
"""How often all ids are listed: what was deleted is forgotten, and what a clock had put far back is found."""
_LATE = datetime.timedelta(days=2)
"""A run has its id before its data is uploaded, so it may come this much later than others that are newer."""
_BATCH = 50
_TIME, _NAMED_LIKE = "%Y%m%d-%H%M%S", "20261122-113449"
"""How a run's id tells its time, UTC."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which runs are wanted; what is not said asks nothing."""

    states: frozenset[str] = frozenset()
    active: bool = False
    """Only what has not ended."""
    person: str = ""
    """Who submitted it: the whole ARN, or the name at its end."""
    teams: frozenset[str] | None = None
    tasks: bool = True
    """The tasks of arrays, too, and not only the arrays."""

    def allows(self, run: RunStatus) -> bool:
        """Return whether the run is one of them."""
        return (
            (not self.states or run.state in self.states)
            and (not self.active or run.active)
            and (not self.person or self.person in (run.actor, run.actor.rpartition("/")[2]))
            and (self.teams is None or run.team in self.teams)
            and (self.tasks or not run.array_of)
        )


EVERY_RUN = Where()


@dataclass(frozen=True)
class RunPage:
    """Some of the runs, newest first."""

    runs: tuple[RunStatus, ...]
    older: str
    """The id before which the next page begins, "" where this one reaches the oldest run."""


class RunIndex:
    """The runs of an environment by pages; several threads may ask at the same time."""

    def __init__(self, store: RunStore, memory: Path | None = None) -> None:
        """Know what the file of an earlier index remembers, and contact nothing yet."""
        self._store, self._memory = store, RunMemory(memory)
        self._refreshing = threading.Lock()
        self._listed_whole: float | None = None
        self._turn = ("", 0)
        """Which ended run was last looked at again."""

    def refresh(self) -> None:
        """List what is new, and read the newest runs and what has not ended."""
        with self._refreshing:
            self._list()
            active = [each.run.run_id for each in self._memory.all() if each.run.active]
            self._read([*self._memory.unread(_NEWEST), *active])

    def look_round(self) -> None:
        """Look at some ended runs, in turn, whether they were resumed."""
        with self._refreshing:
            self._look_again(self._next_in_turn(self._memory.all()))

    def read_all(self) -> None:
        """Know every run as it stands now."""
        with self._refreshing:
            self._list()
            known = self._memory.all()
            self._look_again([each for each in known if each.run.may_go_on])
            active = [each.run.run_id for each in known if each.run.active]
            self._read([*self._memory.unread(), *active])

    def read_more(self, most: int) -> int:
        """Read some of the runs that are not known yet, newest first; return how many are left."""
        unread = self._memory.unknown(self._memory.unread())
        self._read(unread[:most])
        return len(unread[most:])

    def page(self, before: str = "", limit: int = 50, where: Where = EVERY_RUN) -> RunPage:
        """Return the newest `limit` runs, or the newest before that id; reads what is not known yet of them.

        It ends early, and says where to go on, where too many would have to be read to find so many.
        """
        found: list[RunStatus] = []
        ids, reads = self._memory.before(before, tasks=where.tasks), 0
        for begin in range(0, len(ids), _BATCH):
            batch = ids[begin : begin + _BATCH]
            unread = self._memory.unknown(batch)
            if reads and reads + len(unread) > _MOST_READS:
                return RunPage(tuple(found), ids[begin - 1])
            self._read(unread)
            reads += len(unread)
            found += [run for run in self._memory.runs(batch) if where.allows(run)]
            if len(found) >= limit:
                last = found[limit - 1].run_id
                return RunPage(tuple(found[:limit]), last if last != ids[-1] else "")
        return RunPage(tuple(found), "")

    def find(self, before: str, limit: int | None, where: Where) -> RunPage:
        """Return a page as `page` does, however many have to be read for it; without a limit, all of them."""
        found: list[RunStatus] = []
        wanted = sys.maxsize if limit is None else limit
        while True:
            page = self.page(before, wanted - len(found), where)
            found += page.runs
            before = page.older
            if len(found) >= wanted or not before:
                return RunPage(tuple(found), before)

    def tasks_of(self, array: str) -> list[RunStatus]:
        """Return the tasks of an array; of one with very many, those that were read by now."""
        ids = self._memory.tasks(array)
        self._read(self._memory.unknown(ids)[:_MOST_READS])
        return self._memory.runs(ids)

    def known(self) -> list[RunStatus]:
        """Return the runs that have been read, newest first."""
        return [each.run for each in reversed(self._memory.all())]

    def look_at(self, run_id: str) -> RunStatus | None:
        """Return one run as it stands now, None where there is none of that id.

        One that is known to have succeeded is not asked for again, for nothing comes after that.
        """
        if not self.is_finished(run_id):
            known = self._memory.get(run_id)
            if known is None or known.run.active:
                self._read([run_id])
            else:
                self._look_again([known])
        known = self._memory.get(run_id)
        return known.run if known else None

    def is_finished(self, run_id: str) -> bool:
        """Return whether the run is known to have ended, and in a way that nobody can go on from."""
        known = self._memory.get(run_id)
        return known is not None and not known.run.active and not known.run.may_go_on

    def is_recorded(self, run: RunStatus) -> bool:
        """Return whether the ledger is known to have the end of the run's attempt."""
        known = self._memory.get(run.run_id)
        return known is not None and known.recorded and known.run.attempt == run.attempt

    def note_recorded(self, run: RunStatus) -> None:
        """Remember that the ledger has the end of the run's attempt."""
        self._memory.note_recorded(run)

    def save(self) -> None:
        """Write what is known of ended runs to the file, where there is one and something is new."""
        self._memory.save()

    def _list(self) -> None:
        """Learn the ids of runs: those that are new, or all of them where that is due."""
        now = time.monotonic()
        whole = self._listed_whole is None or now - self._listed_whole > _WHOLE_SECONDS
        self._memory.list_ids(self._store.run_ids("" if whole else _since(self._memory.newest)), whole=whole)
        if whole:
            self._listed_whole = now

    def _read(self, ids: Sequence[str]) -> None:
        """Read these runs as they stand now."""
        self._memory.take(dict(zip(ids, each_at_once(self._read_one, ids), strict=True)))

    def _read_one(self, run_id: str) -> Known | None:
        found = self._store.read(run_id, "run.json")
        if found is None:
            return None
        return Known(run_status(run_id, json.loads(found[0]), read_events(self._store, run_id)), found[1])

    def _look_again(self, ended: Sequence[Known]) -> None:
        """Read those of the runs again that were resumed since they were read."""
        changed = each_at_once(self._is_changed, ended)
        self._read([each.run.run_id for each, new in zip(ended, changed, strict=True) if new])

    def _is_changed(self, known: Known) -> bool:
        return self._store.changed(known.run.run_id, "run.json", known.etag) is not None

    def _next_in_turn(self, known: Sequence[Known]) -> list[Known]:
        """Return some ended runs that somebody may have resumed, and at the next call the next ones."""
        ended = [each for each in known if each.run.may_go_on]
        later = [each for each in ended if by_time(each.run.run_id) > self._turn]
        chosen = (later or ended)[:_AGAIN]
        self._turn = by_time(chosen[-1].run.run_id) if chosen else ("", 0)
        return chosen


def open_index(session: Session, team: str = "") -> RunIndex:
    """Return the index of the session's environment, or of a further team's runs; contacts nothing yet."""
    store = open_runs(session, team)
    name = f"{store.bucket}{f'.{team}' if team else ''}.jsonl"
    return RunIndex(store, session.project.home / "runs" / session.cloud.name / name)


def _since(newest: str) -> str:
    """Return from when on ids are to be listed again; "" for all where the newest tells no time."""
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    try:
        told = datetime.datetime.strptime(by_time(newest)[0][: len(_NAMED_LIKE)], _TIME)
    except ValueError:
        return ""
    return (min(now, told) - _LATE).strftime(_TIME)
