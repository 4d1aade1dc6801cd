"""Plain functions that a run calls at its moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.configs.settings import ConfigError
from trainer.configs.tables import nearest_hint

MOMENTS = {
    "step": "after each step, with its number",
    "log": "after each metrics line, with the step's number",
    "eval": "every `eval_every` steps, with the step's number; what it returns goes into the metrics",
    "save": "when a checkpoint counts, with its step; on rank 0 alone",
    "resume": "before the first step after a resume, with the step that was done",
    "preempt": "when told to stop, before the checkpoint is saved, with the step's number",
}
"""When hooks are called, and with what; where nothing else is said on every process, at the same step."""

Hook = Callable[[int], Any]


class Hooks:
    """The functions by moment, called in the order in which they were added."""

    def __init__(self) -> None:
        self._functions: dict[str, list[Hook]] = {moment: [] for moment in MOMENTS}
        self.each_step = self._functions["step"]
        """Those that are called after each step; looked at without a call."""

    def at(self, moment: str) -> list[Hook]:
        """Return the moment's list, to add to; raises ConfigError for a moment that there is not."""
        if moment not in MOMENTS:
            raise ConfigError([f"run.on: there is no moment {moment!r}{nearest_hint(moment, MOMENTS)}"])
        return self._functions[moment]

    def call(self, moment: str, step: int) -> list[Any]:
        """Call the moment's functions and return what they returned."""
        return [function(step) for function in self._functions[moment]]

    def has(self, moment: str) -> bool:
        """Return whether anybody wants to be called."""
        return bool(self._functions[moment])
