"""A receipt's `speedup` in words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.speedup import MEASURED, PROMISED_CUT


def speedup_lines(found: Mapping[str, Any]) -> list[str]:
    """Return a receipt's `speedup` in a few lines for people."""
    several = f"{found['processes']} {_noun(found)}"
    if "why" in found:
        return [f"speed-up of {several}: {found['why']}"]
    one, spent, steps = found["one_process"], _time(found["train_seconds"]), found.get("steps")
    alone = _time(found["train_seconds_one_process"] if steps else one["seconds"])
    here = f" ({steps:,} steps of {_time(found['seconds'])})" if steps else ""
    each = f"{_time(one['seconds'])} a step; " if steps else ""
    head = f"training took {spent} on {several}{here}"
    if found["processes"] == 1:
        lines = [f"{head}; the promised cut of {found['promised_cut_percent']}% is for several"]
    else:
        basis = " (projected)" if one["basis"] != MEASURED else ""
        lines = [
            f"{head}, on one {alone} ({each}{_basis(one)})",
            f"{_cut(found['cut_percent'])}: the promise of {found['promised_cut_percent']}% is "
            f"{found['promise']}{basis}; efficiency {found['efficiency_percent']}%",
        ]
    cost = found.get("cost")
    if cost is not None:
        alone = "" if found["processes"] == 1 else f", {_usd(cost['usd_one_process'])} on one"
        per = "an epoch" if cost["per"] == "epoch" else cost["per"].replace("1000", "1,000")
        lines.append(f"{per} cost{'s' if per == 'an epoch' else ''} {_usd(cost['usd'])}{alone} (list price)")
    end = found.get("stops_paying")
    return lines if end is None else [*lines, paying_line(end)]


def paying_line(end: Mapping[str, Any]) -> str:
    """Return in words from which count on more processes stop paying."""
    known = end["basis"]
    known = known if known == MEASURED else f"{known}, without communication that grows"
    if "none_up_to" in end:
        return f"no limit to what pays was found up to {end['none_up_to']} ({known})"
    return (
        f"more than {end['processes']} stop paying: the next doubling cuts less than "
        f"{100 * PROMISED_CUT:.0f}% ({known})"
    )


def _cut(percent: float) -> str:
    return f"the time is cut by {percent}%" if percent >= 0 else f"it takes {-percent}% more time"


def _noun(found: Mapping[str, Any]) -> str:
    noun = "process" if found.get("device") in (None, "cpu") else "GPU"
    return noun if found["processes"] == 1 else {"process": "processes", "GPU": "GPUs"}[noun]


def _basis(one: Mapping[str, Any]) -> str:
    if one["basis"] != MEASURED:
        return "projected from its share of computing"
    error = one.get("projection_error_percent")
    source = f"measured by {one['source']}" if one.get("source") else "measured"
    return source if error is None else f"{source}; the projection is off by {error:+}%"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1e3 * seconds:.3g} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 3600:.2f} h"


def _usd(amount: float) -> str:
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.3g}"
