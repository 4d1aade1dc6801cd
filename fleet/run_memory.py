"""What has been read of an environment's runs: in memory, and of ended ones in a file, which may be lost."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice, takewhile
from pathlib import Path

from fleet.run_store import by_time, is_task
from fleet.runs import RunStatus

_FORMAT = 1
"""A file that says another number is not read."""


@dataclass(frozen=True)
class Known:
    """A run as it was last read."""

    run: RunStatus
    etag: str
    """That of its `run.json`: another one now means that the run was resumed."""
    recorded: bool = False
    """Whether the ledger is known to have the end of this attempt."""


class RunMemory:
    """The ids that the bucket lists, and what was read of them; several threads may ask at the same time.

    What the file remembers of runs that the bucket does not list is shown to nobody.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Remember what the file tells of ended runs; without one, nothing is kept."""
        self._path, self._lock = path, threading.Lock()
        self._known = _load(path) if path else {}
        self._unsaved = False
        self._ids: list[str] = []
        """Oldest first."""
        self._keys: list[tuple[str, int]] = []
        self._tasks: frozenset[str] = frozenset()
        self._no_runs: set[str] = set()
        """What is listed and has no `run.json`: no run yet, or never one."""

    @property
    def newest(self) -> str:
        """The id of the newest run, "" before there is one."""
        return self._ids[-1] if self._ids else ""

    def list_ids(self, ids: Iterable[str], *, whole: bool) -> None:
        """Take ids that the bucket lists; with `whole` there are no others, and what is gone is forgotten."""
        with self._lock:
            present = set(ids) if whole else {*self._ids, *ids}
            if present != set(self._ids):
                self._ids = sorted(present, key=by_time)
                self._keys = [by_time(each) for each in self._ids]
                self._tasks = frozenset(each for each in self._ids if is_task(each))
            if whole:
                self._known = {each: known for each, known in self._known.items() if each in present}
                self._no_runs.clear()

    def take(self, found: Mapping[str, Known | None]) -> None:
        """Take what was read now, by id; None for what is no run, or not yet."""
        with self._lock:
            for run_id, known in found.items():
                before = self._known.pop(run_id, None)
                if known is None:
                    self._no_runs |= {run_id} & set(self._ids)
                    continue
                if before is not None and before.run.attempt == known.run.attempt:
                    known = replace(known, recorded=before.recorded)
                self._known[run_id] = known
                self._no_runs.discard(run_id)
                self._unsaved = self._unsaved or not known.run.active

    def get(self, run_id: str) -> Known | None:
        """Return what is known of one run."""
        with self._lock:
            return self._known.get(run_id)

    def all(self) -> list[Known]:
        """Return what is known of the runs that there are, oldest first."""
        with self._lock:
            return [self._known[each] for each in self._ids if each in self._known]

    def runs(self, ids: Iterable[str]) -> list[RunStatus]:
        """Return those of the runs that are known."""
        with self._lock:
            return [self._known[each].run for each in ids if each in self._known]

    def unknown(self, ids: Iterable[str]) -> list[str]:
        """Return those of the ids that were not read yet."""
        with self._lock:
            return [each for each in ids if each not in self._known and each not in self._no_runs]

    def unread(self, newest: int | None = None) -> list[str]:
        """Return which of the newest runs, or of all, are not known, newest first."""
        with self._lock:
            ids = self._ids[-newest:] if newest else self._ids
            return [each for each in reversed(ids) if each not in self._known]

    def before(self, run_id: str, *, tasks: bool) -> list[str]:
        """Return the ids that are older than that one, or all for "", newest first."""
        with self._lock:
            end = bisect_left(self._keys, by_time(run_id)) if run_id else len(self._ids)
            return [each for each in reversed(self._ids[:end]) if tasks or each not in self._tasks]

    def tasks(self, array: str) -> list[str]:
        """Return the ids of an array's tasks."""
        with self._lock:
            begin = bisect_left(self._keys, (by_time(array)[0], 0))
            return list(takewhile(lambda each: each.startswith(f"{array}-a"), islice(self._ids, begin, None)))

    def note_recorded(self, run: RunStatus) -> None:
        """Remember that the ledger has the end of the run's attempt."""
        with self._lock:
            known = self._known.get(run.run_id)
            if known is not None and known.run.attempt == run.attempt:
                self._known[run.run_id] = replace(known, recorded=True)
                self._unsaved = True

    def save(self) -> None:
        """Write what is known of ended runs to the file, where there is one and something is new."""
        if self._path is None or not self._unsaved:
            return
        self._unsaved = False
        ended = [json.dumps(asdict(each), ensure_ascii=False) for each in self.all() if not each.run.active]
        head = json.dumps({"format": _FORMAT, "runs": len(ended)})
        with contextlib.suppress(OSError):  # a machine that can't write it goes without
            _write(self._path, "\n".join([head, *ended]))


def _load(path: Path) -> dict[str, Known]:
    """Return the runs that the file tells of, by id; none of a file that is not there, or not whole."""
    try:
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        if json.loads(head) != {"format": _FORMAT, "runs": len(lines)}:
            return {}
        found = [_known(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {each.run.run_id: each for each in found}


def _known(about: Mapping[str, object]) -> Known:
    run = about["run"]
    assert isinstance(run, dict)
    return Known(
        RunStatus(**{**run, "placed": tuple(run["placed"])}), str(about["etag"]), about["recorded"] is True
    )


def _write(path: Path, text: str) -> None:
    """Replace the file at once, readable for its owner alone, whoever else writes it now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
        try:
            file.write(text)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
