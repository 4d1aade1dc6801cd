"""Machine 0's part of a job: when an attempt begins and ends, what it ended of, and whether another follows.

An attempt runs on all machines or on none. The first rank that fails ends it everywhere; a new one begins,
with a new store, once every machine is there and has reaped its ranks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Literal

from trainer.launch import ahead
from trainer.launch.causes import EXIT_FAILED, EXIT_STOPPED, Death, exit_status, lost_a_peer
from trainer.launch.endings import Asked, Verdict, ended_as_asked, well_ended
from trainer.launch.environment import LAUNCH_VARIABLE
from trainer.launch.hang import PATIENT_SECONDS, Standing, Stuck
from trainer.launch.inquiry import HangInquiry
from trainer.launch.options import Options
from trainer.launch.policy import Failure, History, decide, failure_of
from trainer.launch.report import Report, say
from trainer.launch.wire import Message

_SETTLE_SECONDS = 0.3
"""How long a rank that lost a peer waits for that peer's own end to be known."""


class Coordinator:
    """Takes in what the machines tell and orders what follows; `verdict` is set when the job is over."""

    def __init__(self, options: Options, send: Callable[[int, Message], None], report: Report) -> None:
        """`send` reaches a machine by its number."""
        self._options, self._send, self._report = options, send, report
        self.verdict: Verdict | None = None
        self._state: Literal["gathering", "running", "stopping"] = "gathering"
        self._since = time.monotonic()
        self._not_before = 0.0
        self._connected: set[int] = set()
        self._next_store: tuple[int, int] | None = None
        self._store = -1
        self._attempt = -1
        self._awaited: set[int] = set()
        self._deaths: list[Death] = []
        self._fault = ""
        self._asked: Asked | None = None
        self._kill_at: float | None = None
        self._inquiry: HangInquiry | None = None
        self._excused_seconds = 0.0
        """How long a step may take before stacks are looked at once more, after work taken for a hang."""
        self._silent: dict[int, float] = {}
        self._counts_steps = bool(ahead.ours(options.target, options.is_module))
        """Whether the program is one that tells of its steps, and saves them."""
        self._history = History()

    def joined(self, node: int) -> None:
        """A machine's launcher is there, for the first time or again: it has no ranks."""
        if node in self._connected:
            self.lost(node)
        self._connected.add(node)
        self._begin_if_ready()

    def lost(self, node: int) -> None:
        """A machine's launcher is gone, and its ranks with it."""
        self._connected.discard(node)
        if self._state != "gathering":
            self._awaited.discard(node)
            self._end_attempt(f"node {node} was lost: its launcher ended or cannot be reached")
            self._conclude_if_over()

    def ask_stop(self, why: str, code: int, grace: float) -> None:
        """Somebody wants the job to end: kindly, within so many seconds; 0 at once."""
        self._asked = self._asked or Asked(why, code, late=self._state == "stopping")
        say(f"{why}: the ranks have {grace:g} s to stop")
        if self._state == "gathering":
            goes_on = self._counts_steps or self._attempt < 0
            self._finish(Verdict(EXIT_STOPPED if goes_on else code, f"stopped: {why}"))
            return
        self._order_stop(grace)

    def on_message(self, node: int, message: Message) -> None:
        """Take in a message; KeyError, TypeError or ValueError where it is malformed."""
        kind = message["is"]
        if kind == "store":
            self._next_store = (int(message["id"]), int(message["port"]))
            self._begin_if_ready()
        elif kind == "store_lost":
            self._on_store_lost(int(message["id"]), str(message["why"]))
        elif kind == "asked":
            self.ask_stop(str(message["why"]), int(message["code"]), float(message["grace"]))
        elif kind == "broken":
            self._finish(Verdict(EXIT_FAILED, f"failed: node {node}: {message['why']}"))
        elif kind == "silent":
            self._on_silence(node, float(message["seconds"]))
        elif message["attempt"] == self._attempt and self._state != "gathering":
            self._on_attempt_message(node, kind, message)

    def _on_attempt_message(self, node: int, kind: str, message: Message) -> None:
        if kind == "ended":
            self._on_rank_ended(int(message["code"]), str(message["text"]), bool(message["told"]))
        elif kind == "stuck":
            self._on_stuck(Stuck.from_message(message))
        elif kind == "stacks" and self._inquiry is not None:
            self._inquiry.hear(node, [Standing(*standing) for standing in message["standings"]])
        elif kind == "stopped":
            deaths = [Death.from_message(death) for death in message["deaths"]]
            self._deaths += deaths
            self._awaited.discard(node)
            for death in deaths:  # of a machine whose ranks ended all at once
                self._on_rank_ended(death.code, death.text, death.told)
            self._conclude_if_over()

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._state == "gathering":
            self._begin_if_ready()
            if now - max(self._since, self._not_before) > self._options.join_seconds and self.verdict is None:
                missing = sorted(set(range(self._options.nnodes)) - self._connected)
                what = (
                    f"node {', '.join(map(str, missing))} did not come"
                    if missing
                    else "no store could be made"
                )
                self._finish(Verdict(EXIT_FAILED, f"failed: {what} within {self._options.join_seconds:g} s"))
        elif self._kill_at is not None and now > self._kill_at:
            self._end_attempt("")
        elif self._inquiry is not None and self._state == "running" and self._inquiry.complete(now):
            self._judge(self._inquiry)

    def _begin_if_ready(self) -> None:
        everybody = len(self._connected) == self._options.nnodes
        if not everybody or self._next_store is None or self._state != "gathering" or self.verdict:
            return
        if time.monotonic() < self._not_before:
            return
        (self._store, port), self._next_store = self._next_store, None
        self._state, self._since = "running", time.monotonic()
        self._attempt += 1
        self._awaited = set(range(self._options.nnodes))
        self._deaths, self._fault, self._kill_at = [], "", None
        self._inquiry, self._silent = None, {}
        self._report.attempt_started(self._attempt)
        launch = os.environ.get(LAUNCH_VARIABLE, "0")
        self._to_all({"do": "start", "attempt": self._attempt, "port": port, "launch": launch})

    def _on_rank_ended(self, code: int, text: str, told: bool) -> None:
        if told or not code or self._state != "running":
            return
        if code == EXIT_STOPPED:  # somebody told it, and the others too; the launcher was not asked
            self._kill_at = self._kill_at or time.monotonic() + self._options.grace
        elif lost_a_peer(text):
            self._kill_at = self._kill_at or time.monotonic() + _SETTLE_SECONDS
        else:
            self._end_attempt("")

    def _on_store_lost(self, store: int, why: str) -> None:
        if self._next_store is not None and self._next_store[0] == store:
            self._next_store = None
        elif store == self._store and self._state == "running":
            self._end_attempt(f"the ranks' store was lost: {why}")

    def _on_stuck(self, stuck: Stuck) -> None:
        """Have all machines say where their ranks stand."""
        due = stuck.final or stuck.seconds >= self._excused_seconds
        if self._state == "running" and self._inquiry is None and due:
            self._inquiry = HangInquiry(stuck, self._connected, time.monotonic())
            self._to_all({"do": "dump", "attempt": self._attempt})

    def _judge(self, inquiry: HangInquiry) -> None:
        """End the attempt, or ask again when twice the time has passed."""
        self._inquiry = None
        if not inquiry.excuse:
            self._end_attempt(inquiry.judge())
            return
        self._excused_seconds = min(2 * inquiry.stuck.seconds, PATIENT_SECONDS)
        say(
            f"no step for {inquiry.stuck.seconds:.0f} s, no hang yet: {inquiry.excuse}; "
            f"looked at again after {self._excused_seconds:.0f} s"
        )

    def _on_silence(self, node: int, seconds: float) -> None:
        """A job that counts no steps hangs when all of its machines are silent."""
        limit = self._options.hang_seconds
        if limit is None or self._state != "running":
            return
        self._silent[node] = seconds
        if len(self._silent) == self._options.nnodes and min(self._silent.values()) > limit:
            self._to_all({"do": "dump", "attempt": self._attempt})
            self._end_attempt(f"the ranks hung (no output for {min(self._silent.values()):.0f} s)")

    def _order_stop(self, grace: float) -> None:
        self._state = "stopping"
        self._to_all({"do": "stop", "attempt": self._attempt, "grace": grace})

    def _to_all(self, order: Message) -> None:
        for node in self._connected:
            self._send(node, order)

    def _end_attempt(self, fault: str) -> None:
        """Kill all ranks; `fault` is the cause where no rank's own end is."""
        self._fault, self._kill_at = self._fault or fault, None
        self._order_stop(0.0)

    def _conclude_if_over(self) -> None:
        if self._awaited or self._state == "gathering":
            return
        codes = {death.code for death in self._deaths}
        failure = failure_of(self._fault, self._deaths, time.monotonic() - self._since)
        self._counts_steps = self._counts_steps or failure.step is not None
        self._state, self._since = "gathering", time.monotonic()
        well = not self._fault and codes <= {0, EXIT_STOPPED}
        cause = "" if well else failure.cause
        if self._asked:
            cause = cause or self._asked.why
        self._report.attempt_ended(self._attempt, self._deaths, cause)
        if well:
            self._finish(well_ended(self._deaths, self._asked, self._history.restarts))
        elif self._asked:
            final = not decide(self._history, failure, self._options.max_restarts).restart
            resumes = self._counts_steps
            self._finish(ended_as_asked(self._asked, self._deaths, failure, resumes=resumes, final=final))
        else:
            self._restart_or_finish(failure)

    def _restart_or_finish(self, failure: Failure) -> None:
        decision = decide(self._history, failure, self._options.max_restarts)
        if not decision.restart:
            why = f" ({decision.why_not})" if decision.why_not else ""
            self._finish(Verdict(exit_status(failure.code), f"failed: {failure.cause}{why}"))
            return
        self._history = decision.history
        self._not_before = time.monotonic() + decision.pause_seconds
        say(f"attempt {self._attempt + 1} ended: {failure.cause}; restart {decision.history.restarts}")
        self._begin_if_ready()

    def _finish(self, verdict: Verdict) -> None:
        if self.verdict is None:
            self.verdict = verdict
            self._report.job_ended(verdict.code, verdict.text)
            self._to_all({"do": "finish", "code": verdict.code, "text": verdict.text})
