"""What a run says of itself at its end, in three lines: its time, its speed, and what became of the time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.numbers.goodput_ledger import Ledger

WORDS = {
    "productive": "steps that count",
    "runtime": "the program's own time",
    "wasted_progress": "work lost and done again",
    "data_loading": "waiting for data",
    "checkpoint_save": "blocked by saving",
    "checkpoint_restore": "restoring",
    "evaluation": "evaluation",
    "accelerator_init": "device and process group",
    "training_prep": "preparing model and data",
    "program_startup": "starting and first steps",
    "infrastructure_recovery": "recovering from failures",
    "other": "anything else",
}
"""A bucket in words."""
_NOT_REPORTED = "not reported by the program"


def closing_lines(run_dir: Path, ledger: Ledger) -> list[str]:
    """Return the three lines, from the ledger and, where there is one, summary.json."""
    try:
        summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = {}
    return summary_lines(summary if isinstance(summary, dict) else {}, ledger)


def summary_lines(summary: Mapping[str, Any], ledger: Ledger) -> list[str]:
    """Return the three lines from what summary.json holds, nothing where there is none, and the ledger."""
    return [_time(ledger), _speed(summary), _goodput(ledger)]


def _time(ledger: Ledger) -> str:
    text = f"time: {seconds_text(ledger.wall_seconds)}"
    if ledger.steps:
        again = f" and {ledger.lost_steps} lost" if ledger.lost_steps else ""
        text += f", {ledger.steps} steps{again}"
    count = len(ledger.restarts)
    text += f", {count} restart{'' if count == 1 else 's'}" if count else ", no restart"
    return text if ledger.usd is None else f"{text}, {money(sum(ledger.usd.values()))} at list price"


def _speed(summary: Mapping[str, Any]) -> str:
    unit = "tokens" if summary.get("tokens_per_s") else "samples"
    rate, step = summary.get(f"{unit}_per_s"), summary.get("step_seconds")
    why = "unknown, for the last start had no steps to time" if summary.get("steps") else _NOT_REPORTED
    text = f"speed: {rate:,.0f} {unit}/s" if rate else f"speed: {why}"
    if step:
        text += f", {seconds_text(step)} a step (median)"
    about = summary.get("mfu")
    if not isinstance(about, dict):
        return text
    if about.get("mfu") is None:
        return f"{text}; no MFU: {about.get('why_none') or 'not measured'}"
    peak = f"{about['peak_flop_per_s_per_device'] / 1e12:,.0f} TFLOP/s ({about['peak_of']})"
    return f"{text}; MFU {100 * about['mfu']:.1f} % of {about['devices']} x {peak}"


def _goodput(ledger: Ledger) -> str:
    name, seconds = ledger.largest_loss
    share = 100 * seconds / ledger.wall_seconds if ledger.wall_seconds else 0.0
    loss = f"largest loss: {WORDS[name]}, {seconds_text(seconds)} ({share:.1f} %)"
    if ledger.usd is not None:
        loss += f", {money(ledger.usd[name])}"
    if ledger.goodput_percent is None:
        return f"goodput: unknown, for the program reports no steps; {loss}"
    return f"goodput: {ledger.goodput_percent:.1f} % of the time in {WORDS['productive']}; {loss}"


def seconds_text(seconds: float) -> str:
    """Return a time span as people read it: `812 us`, `12.3 ms`, `4.56 s`, `4 min 05 s`, `2 h 03 min`."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def money(usd: float) -> str:
    """Return dollars: to the cent, and small sums to two figures."""
    return f"${usd:,.2f}" if usd >= 0.1 or usd == 0 else f"${usd:.2g}"
