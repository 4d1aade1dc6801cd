"""A run in words: its state, figures, steps, events and receipt as the page shows them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from console.words.codes import state_name
from console.words.reader import Reader
from console.words.said import said
from fleet.clock import seconds_between, seconds_since
from fleet.run_numbers import is_number
from fleet.runs import RunStatus
from fleet.tail import EventSeen
from templates.console.home import Figure, RunLine, Tone
from templates.console.phrase import Phrase
from templates.console.run import Column, EventLine, RunReceipt, RunState, StepTable

MOST_ROWS = 400
"""So many steps are shown at most: of more, some, evenly apart, and always the last one."""
_NOT_SHOWN = frozenset({"step", "time", "samples"})
_TONES: dict[str, Tone] = {"SUCCEEDED": "good", "FAILED": "bad", "TIMED_OUT": "bad", "PREEMPTED": "bad"}


def run_line(reader: Reader, run: RunStatus) -> RunLine:
    """Return a run as a list shows it."""
    return RunLine(
        id=run.run_id,
        program=run.program,
        state=state_name(reader, run.state),
        tone="busy" if run.active else _TONES.get(run.state, "plain"),
        submitted=reader.moment(run.submitted),
        took="" if run.seconds is None else reader.span(run.seconds),
    )


def state(reader: Reader, run: RunStatus) -> RunState:
    """Return how the run stands, and since when."""
    _ = reader.gettext
    line = run_line(reader, run)
    if run.seconds is not None:
        since = (_("for {span}") if run.active else _("after {span}")).format(span=reader.span(run.seconds))
    elif run.active:
        since = _("for {span}").format(span=reader.span(max(0.0, seconds_since(run.submitted))))
    else:
        since = _("before it began")
    cause = said(reader, run.cause) if run.cause else None
    return RunState(name=line.state, tone=line.tone, since=since, cause=cause)


def figures(
    reader: Reader, run: RunStatus, request: Mapping[str, Any], last: Mapping[str, Any] | None
) -> tuple[Figure, ...]:
    """Return the run's figures as they are now; `last` is its newest step."""
    return tuple(_figures(reader, run, request, last or {}))


def _figures(
    reader: Reader, run: RunStatus, request: Mapping[str, Any], last: Mapping[str, Any]
) -> Iterator[Figure]:
    _ = reader.gettext
    if is_number(last.get("step")):
        yield Figure(label=_("Step"), value=reader.number(last["step"]), note="")
    if is_number(last.get("loss")):
        yield Figure(label=_("Loss"), value=f"{last['loss']:.4g}", note="")
    for unit, label in (("tokens_per_s", _("Tokens a second")), ("samples_per_s", _("Samples a second"))):
        if is_number(last.get(unit)):
            yield Figure(label=label, value=reader.number(last[unit], 1 if last[unit] < 100 else 0), note="")
    if is_number(last.get("mfu")):
        label = _("Share of the GPUs' peak that is used (MFU)")
        yield Figure(label=label, value=f"{100 * last['mfu']:.1f} %", note="")
    price = request.get("price_usd_per_hour")
    if is_number(price) and run.claimed:
        held = seconds_between(run.claimed, run.ended) if run.ended else seconds_since(run.claimed)
        usd = float(price) * run.nodes * held / 3600
        rate = _("{usd} an hour").format(usd=reader.usd(float(price) * run.nodes))
        yield Figure(label=_("Cost so far, at list price"), value=reader.usd(usd), note=rate)


def about(reader: Reader, run: RunStatus, request: Mapping[str, Any]) -> tuple[Figure, ...]:
    """Return what the run is."""
    _ = reader.gettext
    machines = f"{run.nodes} x {request.get('instance_type', '')}"
    asked = (request.get("asked_by") or {}).get("name")  # who clicked, where the console submitted it
    data = (request.get("dataset") or {}).get("name", "")
    told = (
        (_("What"), run.program),
        (_("Machines"), machines),
        (_("Processes on each"), str(run.procs_per_node)),
        (_("Data set"), str(data)),
        (_("Submitted by"), str(asked) if asked else run.actor.rpartition("/")[2]),
        (_("Handed in"), reader.moment(run.submitted).shown),
        (_("Attempt"), str(run.attempt) if run.attempt > 1 else ""),
    )
    return tuple(Figure(label=label, value=value, note="") for label, value in told if value)


def events(reader: Reader, seen: Sequence[EventSeen]) -> tuple[EventLine, ...]:
    """Return events as a list shows them."""
    return tuple(
        EventLine(
            at=reader.moment(each.time),
            name=state_name(reader, each.event),
            detail=_detail(reader, each),
        )
        for each in seen
    )


def _detail(reader: Reader, event: EventSeen) -> Phrase | None:
    text = str(event.detail.get("cause") or event.detail.get("reason") or "")
    return said(reader, text) if text else None


def step_table(reader: Reader, steps: Sequence[Mapping[str, Any]]) -> StepTable:
    """Return the steps as a table, of many some."""
    keys = dict.fromkeys(key for step in steps for key, value in step.items() if is_number(value))
    columns = [Column(key=key, label=metric_name(reader, key)) for key in keys if key not in _NOT_SHOWN]
    every = max(1, math.ceil(len(steps) / MOST_ROWS))
    shown = [step for at, step in enumerate(reversed(steps)) if at % every == 0][::-1]
    rows = tuple(
        tuple(_cell(step.get(key)) for key in ("step", *(each.key for each in columns))) for step in shown
    )
    return StepTable(columns=tuple(columns), rows=rows)


def metric_name(reader: Reader, key: str) -> str:
    """Return what a figure of a step is called; what a program logs of its own keeps its name."""
    _ = reader.gettext
    names = {
        "loss": _("Loss"),
        "val_loss": _("Loss on held-out data"),
        "log_loss": _("Loss on held-out data"),
        "accuracy": _("Accuracy on held-out data"),
        "lr": _("Learning rate"),
        "gradient_norm": _("Gradient norm"),
        "samples_per_s": _("Samples a second"),
        "tokens_per_s": _("Tokens a second"),
        "step_seconds": _("Seconds a step"),
        "data_wait_seconds": _("Seconds waiting for data"),
        "mfu": _("MFU"),
        "memory_bytes": _("Memory, bytes"),
    }
    return names.get(key, key)


def receipt(reader: Reader, found: Mapping[str, Any] | None) -> RunReceipt:
    """Return what a run has left at its end; empty before."""
    return RunReceipt(figures=tuple(_receipt_figures(reader, found or {})), lines=())


def _receipt_figures(reader: Reader, found: Mapping[str, Any]) -> Iterator[Figure]:
    _ = reader.gettext
    seconds = (found.get("seconds") or {}).get("total")
    if is_number(seconds):
        yield Figure(label=_("From handing in to the end"), value=reader.span(seconds), note="")
    usd = (found.get("cost") or {}).get("usd")
    if is_number(usd):
        attempts = len(found.get("attempts") or ())
        note = reader.ngettext("in {count} attempt", "in {count} attempts", attempts) if attempts else ""
        yield Figure(label=_("Cost at list price"), value=reader.usd(usd), note=note)
    speedup = found.get("speedup") or {}
    if is_number(speedup.get("cut_percent")) and speedup.get("processes", 1) > 1:
        measured = (speedup.get("one_process") or {}).get("basis") == "measured"
        note = _("measured") if measured else _("projected from this run")
        many = reader.ngettext(
            "Time cut by {count} process", "Time cut by {count} processes", speedup["processes"]
        )
        yield Figure(label=many, value=f"{speedup['cut_percent']} %", note=note)
    goodput = (found.get("goodput") or {}).get("goodput_percent")
    if is_number(goodput):
        yield Figure(label=_("Time that went into steps that count"), value=f"{goodput:.0f} %", note="")


def _cell(value: object) -> str:
    return f"{value:.6g}" if is_number(value) else ""
