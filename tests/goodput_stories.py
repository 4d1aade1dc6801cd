"""Made-up runs whose every second is known: what they would have written to goodput.jsonl, and the truth."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START = 1_750_000_000.0
STEP, NUM_STEPS = 0.3, 12_000
SAVE_EVERY, EVALUATE_EVERY = 100, 500


@dataclass
class Story:
    """One run as it happened. `clock` is the true time; each teller's own clock may be off by a little."""

    random: random.Random
    memory_snapshots: bool = False
    jitter: float = 0.0
    clock: float = START
    truth: dict[str, float] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    saved: int = 0
    """The step that a new attempt goes on after."""
    steps_of: dict[int, float] = field(default_factory=dict)
    """Seconds of each step that counts so far."""
    pid: int = 1000
    attempt: int = 0

    def spend(self, bucket: str, seconds: float) -> None:
        """Let time pass, in a bucket."""
        self.clock += seconds
        self.truth[bucket] = self.truth.get(bucket, 0.0) + seconds

    def tell(self, kind: str, *, pid: int | None = None, at: float | None = None, **fields: Any) -> None:
        """Write an event; rank 0's own where a pid is given, else the launcher's, whose clock is another."""
        offset = self.jitter if pid else 0.0
        moment = (self.clock if at is None else at) + offset
        for name in ("begin", "end"):
            if name in fields:
                fields[name] += offset
        self.lines.append({"time": moment, "event": kind, "pid": pid or 1, **fields})

    def write(self, path: Path) -> Path:
        """Write the lines, some of them in the wrong order, one of them torn."""
        lines = [json.dumps(line) for line in self.lines]
        for at in range(0, len(lines) - 1, 7):
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        path.write_text("\n".join([*lines[:5], '{"time": 12', *lines[5:]]) + "\n")
        return path

    def job(self, ends: list[str]) -> None:
        """Run a job: an attempt for each of `ends`, each of which says how that attempt ends."""
        self.tell("job_started")
        self.spend("program_startup", 0.05)
        for end in ends:
            self.attempt += 1
            self.tell("attempt_started", attempt=self.attempt, nodes=1, procs=2)
            self.live(end)
            if end == "launcher":
                self.lines = [line for line in self.lines if line["time"] <= self.clock + self.jitter]
                self.spend("infrastructure_recovery", self.random.uniform(20, 60))
                return
            if end == "stop":
                self.tell("rank_ended", rank=0, code=75, signal=None, cause="", step=self.saved)
                self.spend("other", 0.2)
                self.tell("attempt_ended", attempt=self.attempt, cause="told to stop")
                self.tell("job_ended", code=75, cause="told to stop")
                self.clock += self.random.uniform(60, 240)  # until it is resumed: nobody has machines for it
                return
            if end != "done":
                self.spend("infrastructure_recovery", self.random.uniform(0.3, 6))
                self.tell("attempt_ended", attempt=self.attempt, cause="rank 1 ended by SIGKILL")
                self.spend("infrastructure_recovery", 0.1)
        self.tell("rank_ended", rank=0, code=0, signal=None, cause="", step=NUM_STEPS)
        self.spend("other", 0.2)
        self.tell("attempt_ended", attempt=self.attempt, cause="")
        self.tell("job_ended", code=0, cause="")
        self.truth["productive"] = sum(self.steps_of.values())

    def live(self, end: str) -> None:
        """Be rank 0 once: start, restore, train until this life ends as it is to end."""
        self.pid += 1
        pid, dice = self.pid, self.random
        self.spend("program_startup", 0.3)
        began = self.clock
        stages = [
            ("process_started", "program_startup", dice.uniform(2, 9)),
            ("imports_done", "accelerator_init", dice.uniform(0.5, 4)),
            ("device_ready", "training_prep", dice.uniform(1, 5)),
        ]
        for number, (kind, bucket, seconds) in enumerate(stages):
            self.tell(kind, pid=pid, at=began if number == 0 else None)
            if end == "early" and number == 2:
                self.spend(bucket, seconds / 2)
                self.rank_ended(0)
                return
            self.spend(bucket, seconds)
        if self.saved:
            restoring = dice.uniform(1, 3)
            self.spend("checkpoint_restore", restoring)
            self.tell("restored", pid=pid, seconds=restoring, step=self.saved, **{"from": "local"})
        self.tell("setup_done", pid=pid)
        _Training(self, pid, end).train()

    def rank_ended(self, step: int) -> None:
        """Tell as the launcher that a rank was killed."""
        self.tell("rank_ended", rank=1, code=None, signal=9, cause="rank 1 ended by SIGKILL", step=step)


class _Training:
    """The steps of one life, told in windows as the trainer tells them."""

    def __init__(self, story: Story, pid: int, end: str) -> None:
        self.story, self.pid, self.end = story, pid, end
        self.step = story.saved
        self.window: dict[str, Any] = {}
        self.window_began = story.clock

    def train(self) -> None:
        story, dice = self.story, self.story.random
        last = NUM_STEPS if self.end == "done" else min(NUM_STEPS - 1, self.step + dice.randint(150, 1500))
        self.first_step()
        while self.step < last:
            self.do_step()
            if self.step % EVALUATE_EVERY == 0:
                self.flush()
                begin = story.clock
                story.spend("evaluation", dice.uniform(5, 20))
                story.tell("evaluation", pid=self.pid, begin=begin, end=story.clock)
                self.window_began = story.clock
        if self.end == "done" or self.end == "stop":
            self.flush()
            begin = story.clock
            story.spend("checkpoint_save", 1.5)
            story.saved = self.step
            story.tell("checkpoint_wait", pid=self.pid, begin=begin, end=story.clock)
            if self.end == "done":
                story.spend("other", 2.0)
                story.tell("finished", pid=self.pid)
            story.spend("other", 0.1)
            return
        self.die()

    def first_step(self) -> None:
        story = self.story
        self.step += 1
        compiling = story.random.uniform(3, 12)
        story.spend("program_startup", compiling)
        self.count(STEP)
        story.tell("first_step", pid=self.pid, step=self.step, seconds=compiling + STEP)
        self.window_began = story.clock

    def count(self, seconds: float) -> None:
        """Let a step count; that of the same number before was in vain."""
        story = self.story
        story.clock += seconds
        in_vain = story.steps_of.pop(self.step, 0.0)
        story.truth["wasted_progress"] = story.truth.get("wasted_progress", 0.0) + in_vain
        story.steps_of[self.step] = seconds

    def do_step(self) -> None:
        story, dice = self.story, self.story.random
        self.step += 1
        wait = dice.uniform(0.0, 0.02) if dice.random() < 0.99 else dice.uniform(1, 4)
        story.spend("data_loading", wait)
        self.count(STEP * dice.uniform(0.95, 1.05))
        blocked = 0.08 if self.step % SAVE_EVERY == 0 else 0.0
        story.spend("checkpoint_save", blocked)
        if blocked:
            story.saved = self.step
            story.tell("saved", pid=self.pid, step=self.step, blocked_s=blocked, write_s=0.4, bytes=10**8)
        self.window.setdefault("from", self.step)
        self.window["to"] = self.step
        self.window["data_wait_s"] = self.window.get("data_wait_s", 0.0) + wait
        self.window["blocked_save_s"] = self.window.get("blocked_save_s", 0.0) + blocked
        if story.clock - self.window_began > 2.0:
            self.flush()

    def flush(self) -> None:
        if self.window:
            seconds = self.story.clock - self.window_began
            self.story.tell("steps", pid=self.pid, seconds=seconds, **self.window)
        self.window, self.window_began = {}, self.story.clock

    def die(self) -> None:
        """End within a step, at once or after having hung."""
        story = self.story
        if self.end == "launcher":
            # Nobody lives to tell: what was not told yet is taken for recovery.
            story.spend("wasted_progress", STEP / 2)
            return
        story.spend("wasted_progress", STEP if self.end == "hang" else STEP * story.random.uniform(0, 1))
        if self.end == "hang":
            story.spend("infrastructure_recovery", story.random.uniform(60, 90))
        story.rank_ended(self.step)
        if story.memory_snapshots:
            story.saved = self.step
