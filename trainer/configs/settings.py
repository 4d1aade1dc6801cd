"""How a run trains, whatever it trains: the settings of the engine, which every way into it shares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

MAX_SEED = 2**63 - 1
"""Largest number that torch, numpy and TOML all take for a seed."""


class ConfigError(Exception):
    """The user's mistakes in a recipe or its overrides, all of them, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "a ConfigError names at least one problem"
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The engine's dials. Each that can be `auto` is chosen from the model, the data and the machine."""

    seed: int = 1
    """Seed of the first weights, the order of samples and their augmentation, 0 to 2**63 - 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; auto takes the GPUs where each process of this machine can have one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the forward and backward pass; auto is bf16 on a GPU and fp32 on a CPU."""
    compile: Literal["auto", "off", "blocks", "whole"] = "auto"
    """torch.compile: of each repeated block, or of the whole model; auto compiles on a GPU, by blocks where
    the model has four or more alike, and not on a CPU."""
    sharding: Literal["auto", "ddp", "fsdp"] = "auto"
    """Whether each process holds the whole model (ddp) or a part of it (fsdp); auto takes fsdp where the
    model's state needs more than half of a device's memory."""
    micro_batch: int | Literal["auto"] = "auto"
    """Samples that one process takes at once; the rest of its share follows, one after the other. auto takes
    the whole share, and half of that each time the memory does not suffice."""
    activation_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Whether blocks are computed again in the backward pass instead of kept; auto does so where a
    micro-batch of one sample does not fit otherwise."""
    gradient_clip: float = 1.0
    """Largest norm of a step's gradient; 0 turns clipping off."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl; the first and the last step are always logged."""
    eval_every: int = 0
    """Steps between two evaluations on held-out data; 0 evaluates at the end only."""
    checkpoint_every: int | Literal["auto"] = "auto"
    """Steps between two checkpoints; 0 saves only at the end and when told to stop; auto weighs what a
    save has cost against how often machines fail."""
    keep_checkpoints: int = 2
    """Newest whole checkpoints that are kept, at least 1; damaged ones do not count."""
    memory_snapshot: Literal["auto", "every_step", "off"] = "auto"
    """Whether the state is also kept in the machine's memory, where it outlives a killed process; auto
    keeps it as often as costs at most 1 % of the time."""
    hang_minutes: float | Literal["auto"] = "auto"
    """Minutes without a finished step after which the processes are taken for hung and started again."""
    fresh: bool = False
    """Start over: delete the run directory's checkpoints and metrics instead of resuming."""

    def setting_faults(self) -> Iterator[str]:
        """Yield each of these values that is out of its range."""
        for name in ("log_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                yield f"{name}: {getattr(self, name)} is not positive"
        if self.micro_batch != "auto" and self.micro_batch < 1:
            yield f"micro_batch: {self.micro_batch} is not positive"
        if self.checkpoint_every != "auto" and self.checkpoint_every < 0:
            yield f"checkpoint_every: {self.checkpoint_every} is negative"
        if self.eval_every < 0:
            yield f"eval_every: {self.eval_every} is negative"
        if not 0 <= self.gradient_clip < float("inf"):
            yield f"gradient_clip: {self.gradient_clip} is not zero or more"
        if self.hang_minutes != "auto" and not 0 < self.hang_minutes < float("inf"):
            yield f"hang_minutes: {self.hang_minutes} is not positive"
        if not 0 <= self.seed <= MAX_SEED:
            yield f"seed: {self.seed} is not between 0 and 2**63 - 1"


INCIDENTAL = frozenset(
    {
        "device",
        "compile",
        "sharding",
        "micro_batch",
        "activation_checkpointing",
        "log_every",
        "eval_every",
        "checkpoint_every",
        "keep_checkpoints",
        "memory_snapshot",
        "hang_minutes",
        "fresh",
        "program",
    }
)
"""The settings that do not decide what is learned: a checkpoint resumes under any of them."""
