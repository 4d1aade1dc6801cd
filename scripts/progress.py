"""How Terraform's progress is shown: one live line on a terminal, plain lines on a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from fleet.terraform_events import ProgressEvent
from scripts.console_io import live, note, warn

_SLOW_SECONDS = 10.0
"""On a pipe, a resource that takes longer than this is mentioned each time Terraform says so."""


def reporter() -> Callable[[ProgressEvent], None]:
    """Return what prints the events of one command to standard error."""
    begin = time.monotonic()

    def report(event: ProgressEvent) -> None:
        elapsed = f"{time.monotonic() - begin:4.0f} s"
        if event.kind in ("planned", "error", "summary"):
            return  # the answer, or the error at the end, says it
        if event.kind == "warning":
            warn(event.text)
        elif event.kind == "note":
            note(f"{elapsed}  {event.text}")
        else:
            line = f"{elapsed}  {event.stack} {event.done}/{event.total}  {event.text}"
            live.show(line)
            if not live.enabled and (event.kind in ("done", "failed") or event.seconds >= _SLOW_SECONDS):
                note(line)

    return report
