"""Where a run's time went, in words and rows for a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.run_numbers import RunNumbers
from trainer.numbers.closing import WORDS, money, seconds_text, summary_lines


@dataclass(frozen=True)
class GoodputReport:
    """What people are shown of a ledger."""

    headlines: Sequence[str]
    """Time, speed and goodput of the run, a line each."""
    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    """A row for each bucket that is not empty, the largest first; the price only where it is known."""
    restarts: Sequence[str]
    """A line for each time that the run had to go on after an end."""


def report(run: RunNumbers) -> GoodputReport:
    """Return the report of a run whose ledger is known."""
    ledger = run.ledger
    assert ledger is not None
    rows = []
    for name, seconds in sorted(ledger.buckets.items(), key=lambda item: -item[1]):
        if seconds > 0:
            row = [name, WORDS[name], f"{100 * seconds / ledger.wall_seconds:.1f} %", seconds_text(seconds)]
            rows.append([*row, money(ledger.usd[name])] if ledger.usd is not None else row)
    restarts = []
    for each in ledger.restarts:
        when = datetime.fromtimestamp(each["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        at = f" at step {each['step']}" if each["step"] else ""
        restarts.append(f"restart {when} UTC{at}: {each['cause'] or 'no cause was told'}")
    headers = ["bucket", "what", "share", "time", *(["cost"] if ledger.usd is not None else [])]
    return GoodputReport(summary_lines(run.summary, ledger), headers, rows, restarts)
