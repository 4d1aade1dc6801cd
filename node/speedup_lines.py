"""A receipt's `speedup` in words, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from node.speedup import MEASURED


def speedup_lines(found: Mapping[str, Any]) -> list[str]:
    """Return a receipt's `speedup` in a few lines for people."""
    several = f"{found['processes']} {_noun(found)}"
    if "why" in found:
        return [f"speed-up of {several}: {found['why']}"]
    one, steps = found["one_process"], found.get("steps")
    head = f"training took {_time(found['train_seconds'])}"
    here, alone, each = "", _time(one["seconds"]), ""
    if steps:  # what they take, without what is no step: saves, the slow first ones
        head += f", its {steps:,} steps {_time(steps * found['seconds'])}"
        here, each = f" ({_time(found['seconds'])} each)", f"{alone} each; "
        alone = _time(steps * one["seconds"])
    head += f" on {several}{here}"
    if found["processes"] == 1:
        lines = [f"{head}; the promised cut of {found['promised_cut_percent']}% is for several"]
    else:
        lines = [
            f"{head}, on one {alone} ({each}{_basis(one)})",
            f"{_cut(found['cut_percent'])}: the promise of {found['promised_cut_percent']}% is "
            f"{found['promise']}; efficiency {found['efficiency_percent']}%",
        ]
    cost = found.get("cost")
    if cost is not None:
        alone = "" if found["processes"] == 1 else f", {_usd(cost['usd_one_process'])} on one"
        per = "an epoch" if cost["per"] == "epoch" else cost["per"].replace("1000", "1,000")
        lines.append(f"{per} cost{'s' if per == 'an epoch' else ''} {_usd(cost['usd'])}{alone} (list price)")
    end = found.get("stops_paying")
    if end is not None:
        least = found["promised_cut_percent"]
        lines.append(
            f"more than {end['processes']} stop paying: the next doubling cuts less than {least}% "
            f"({end['basis']})"
        )
    return lines


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
