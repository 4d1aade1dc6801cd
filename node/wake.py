"""Gives a fleet back its machines that was scaled to zero for being idle, when a run waits for them."""

from __future__ import annotations

from typing import Any

HELD_BACK = "Launch"
"""Process of a group that is suspended where the environment's lease is over: then nothing is woken."""


def wake(autoscaling: Any, group: str, wanted: int) -> int:
    """Let the group have so many machines, or all that it may have; return how many it gets, 0 for no change.

    Raises what node.aws tells apart. A group that starts its machines already is left alone.
    """
    found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
    if not found:
        return 0
    (told,) = found
    suspended = {each["ProcessName"] for each in told.get("SuspendedProcesses", [])}
    count = min(wanted, int(told["MaxSize"]))
    if HELD_BACK in suspended or int(told["DesiredCapacity"]) >= count:
        return 0
    autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=count)
    return count
