"""How many steps to let pass between two saves: what a save costs against what a failure takes away."""

from __future__ import annotations

import math

DEVICE_HOURS_BETWEEN_FAILURES = 54 * 24 * 16_384 / 419
"""Of one GPU, about 50,700 hours: Llama 3's training had 419 unexpected interruptions in 54 days on 16,384
H100 (Grattafiori et al. 2024, arXiv 2407.21783, section 3.3.4)."""
SPOT_MACHINE_HOURS = 24.0
"""Of one spot machine. A guess on the careful side: AWS publishes only which share of a pool's machines it
took back in a month, and GPU pools are often in the topmost class, which is open-ended (over 20 %). Saving
twice as often as is best costs a quarter more than the best, so a wrong guess is cheap."""
LARGEST_SHARE = 1 / 20
"""Saves never take more of the time than this."""
LONGEST_SECONDS = 1800.0
"""Longest time between two saves, however reliable the machines: half an hour is what anybody may lose."""
SNAPSHOT_SHARE = 1 / 100
"""Share of the time that copies into memory may take where their number is chosen."""


def steps_between_saves(
    *,
    step_seconds: float,
    save_seconds: float,
    devices: int = 1,
    machines: int = 1,
    spot: bool = False,
    elapsed_seconds: float = 0.0,
    failures: int = 0,
) -> int:
    """Return the steps between two saves that lose the least time, at least 1.

    `save_seconds` is all that one save takes away from training. The failure rate is that of the machines'
    kind, which counts as one failure seen, put together with `failures` in `elapsed_seconds` of this run.
    """
    gap = seconds_between_failures(
        devices=devices, machines=machines, spot=spot, elapsed_seconds=elapsed_seconds, failures=failures
    )
    seconds = best_seconds(max(save_seconds, 0.0), gap)
    seconds = max(min(seconds, LONGEST_SECONDS), save_seconds * (1 / LARGEST_SHARE - 1))
    return max(1, round(seconds / max(step_seconds, 1e-6)))


def best_seconds(save_seconds: float, gap_seconds: float) -> float:
    """Return the seconds of training between two saves that lose the least (J. T. Daly 2006, equation 37).

    `gap_seconds` is the mean time between failures. To first order it is Young's sqrt(2 save gap) (1974).
    Future Generation Computer Systems 22 (3), 303-312; Communications of the ACM 17 (9), 530-531.
    """
    if save_seconds >= 2 * gap_seconds:
        return gap_seconds
    ratio = save_seconds / (2 * gap_seconds)
    young = math.sqrt(2 * save_seconds * gap_seconds)
    return young * (1 + math.sqrt(ratio) / 3 + ratio / 9) - save_seconds


def seconds_between_failures(
    *, devices: int, machines: int, spot: bool, elapsed_seconds: float, failures: int
) -> float:
    """Return the mean time between failures to go by: one failure expected beforehand, and those seen."""
    rate = devices / DEVICE_HOURS_BETWEEN_FAILURES + (machines / SPOT_MACHINE_HOURS if spot else 0.0)
    return (3600 / rate + elapsed_seconds) / (1 + failures)


def steps_between_snapshots(*, step_seconds: float, snapshot_seconds: float) -> int:
    """Return the steps between two copies into memory that keep their share of the time, at least 1."""
    return max(1, math.ceil(snapshot_seconds / (SNAPSHOT_SHARE * max(step_seconds, 1e-6))))
