"""IdleSpec: what counts as idle and what becomes of it, as the table `[idle]` of an environment says it."""

from __future__ import annotations

from typing import Annotated, Literal

from stacks.fields import Spec, setting


class IdleSpec(Spec):
    """Idleness is measured by progress: by training steps, not by how busy a machine looks (docs/idle.md)."""

    step_minutes: Annotated[
        int,
        setting(
            "Time without a training step after which a run is idle; 0: runs are never idle",
            unit="minutes",
            change="free",
            ge=0,
            le=1440,
        ),
    ] = 30
    start_minutes: Annotated[
        int,
        setting(
            "The same before the first step of a start, which brings data and compiles, and while it "
            "evaluates or saves",
            unit="minutes",
            change="free",
            ge=5,
            le=2880,
        ),
    ] = 120
    grace_minutes: Annotated[
        int,
        setting(
            "Time from the warning until an idle run is stopped with a checkpoint, or an idle fleet is set "
            "to zero",
            unit="minutes",
            change="free",
            ge=10,
            le=1440,
        ),
    ] = 15
    without_steps: Annotated[
        Literal["leave", "log", "stop"],
        setting(
            "What becomes of a program that tells of no steps: `leave`: it is never idle; `log`: it is idle "
            "when its log has not grown for `step_minutes`; `stop`: it is idle after `start_minutes`",
            unit="",
            change="free",
        ),
    ] = "leave"
    node_minutes: Annotated[
        int,
        setting(
            "Time without a run after which the nodes that always stand are idle: when all of a fleet are, "
            "it is set to zero, and the next run starts them again; 0: they stand",
            unit="minutes",
            change="free",
            why="it counts for machines that are started after it, the head node among them",
            ge=0,
            le=10080,
        ),
    ] = 0

    @property
    def node_policy(self) -> str:
        """What the tag of a fleet's group says of nodes without a run: `MINUTES+GRACE`, "" for nothing."""
        return f"{self.node_minutes}+{self.grace_minutes}" if self.node_minutes else ""
