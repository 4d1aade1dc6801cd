"""The clerk: a resident process on the head node that takes runs to Slurm and tells of them.

`python -m node.slurm.clerk`. What it must not forget lies in its book, so it may be killed at any moment.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from node.cluster.facts import NoClusterError
from node.config import read_node_config
from node.slurm.book import Entry
from node.slurm.client import clerk_socket
from node.slurm.desk import Desk
from node.slurm.intake import Answer, Intake
from node.slurm.keeping import keep
from node.slurm.office import Office
from node.slurm.orders import NotPossibleError, Orders
from node.slurm.request import RUN_ID, TEAM, belongs
from node.slurm.rounds import Rounds
from node.slurm.submitter import Submitter
from node.slurm.tools import SlurmError

_WORKERS = 12
_LEAST_PAUSE, _LONGEST_PAUSE = 0.4, 5.0
"""Seconds between two looks at Slurm."""
_IDLE_PAUSE = 3.0
"""The same where there is no run; one that comes ends it."""
_PAUSE_FOR_WORK = 4.0
"""A look that takes long is followed by so many times as long a pause."""


class Clerk:
    """All of it."""

    def __init__(self, *, keeps: bool = True) -> None:
        """Take up the book; `keeps`: whether it looks after machines and Slurm's configuration, too."""
        self._keeps = keeps
        self.office = Office(read_node_config())
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._submitter = Submitter(self.office)
        self._orders = Orders(self.office)
        self._intake = Intake(self.office, self._submitter, self._pool)
        self._rounds = Rounds(self.office, self._submitter, self._orders, self._intake, self._pool)
        self._news = threading.Event()
        self._over = threading.Event()

    def serve(self) -> None:
        """Work until the process is told to end."""
        desk = Desk(Path(clerk_socket()), self.answer)
        threading.Thread(target=desk.serve_forever, daemon=True).start()
        if self._keeps:
            threading.Thread(target=keep, args=(self._over,), daemon=True).start()
        print("the clerk is at its desk", flush=True)
        while not self._over.is_set():
            begin = time.monotonic()
            self._rounds.go()
            took = time.monotonic() - begin
            least = _LEAST_PAUSE if self.office.book.entries() else _IDLE_PAUSE
            self._news.wait(min(_LONGEST_PAUSE, max(least, _PAUSE_FOR_WORK * took)))
            self._news.clear()
        desk.shutdown()

    def stop(self) -> None:
        """End soon."""
        self._over.set()
        self._news.set()

    def answer(self, act: str, run_id: str, team: str) -> Answer:
        """Do what somebody at the desk asks for."""
        try:
            known = self.office.facts()
        except NoClusterError as error:
            return False, str(error)
        team = team or known.default_team
        if not RUN_ID.fullmatch(run_id) or not TEAM.fullmatch(team):
            return False, "that is no run's id, or no team's name"
        try:
            return self._answer(act, run_id, team)
        finally:
            self._news.set()

    def _answer(self, act: str, run_id: str, team: str) -> Answer:
        if act == "submit":
            return self._intake.accept(run_id, team)
        orders = {
            "cancel": self._cancel,
            "hold": self._orders.hold,
            "release": self._orders.release,
            "requeue": self._orders.requeue,
        }
        if act not in orders:
            return False, f"{act!r} is nothing that the clerk does"
        if not belongs(run_id, team, self.office.facts()):
            return False, f"{run_id!r} is no run of the team {team}"
        with self.office.book.locked(run_id):
            entry = self.office.book.get(run_id)
            if entry is None or entry.team != team:
                return False, f"{run_id} is not in the queue"
            try:
                orders[act](entry)
            except NotPossibleError as error:
                return False, str(error)
            except SlurmError as error:
                return False, f"Slurm refused: {error.reason}"
        return True, f"{act}: {run_id}"

    def _cancel(self, entry: Entry) -> None:
        asked = self.office.read(entry.run_id, "cancel.json") or {}
        by = str(asked.get("actor") or f"the team {entry.team}")
        self._orders.cancel(entry, by)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="node.slurm.clerk")
    runs_only = "leave machines and Slurm's configuration alone, as where there is no cloud behind them"
    parser.add_argument("--runs-only", action="store_true", help=runs_only)
    clerk = Clerk(keeps=not parser.parse_args(arguments).runs_only)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: clerk.stop())
    try:
        clerk.serve()
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
