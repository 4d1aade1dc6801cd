"""The state that a run resumes from: weights and moments as named tensors, the rest as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run has come, alike on every process but for the seconds and the time, which rank 0 knows."""

    step: int = 0
    """Optimizer steps done."""
    samples: int = 0
    """Training samples consumed; the next step begins with this one. 0 where the data does not count them."""
    train_seconds: float = 0.0
    """Seconds of training that led there, over all attempts."""
    first_step_time: str | None = None
    """When the first of these attempts had done its first step, ISO 8601 in UTC."""
    data: dict[str, Any] = field(default_factory=dict)
    """Where the data goes on, as JSON."""
    random: dict[str, Any] = field(default_factory=dict)
    """How random numbers go on. Here they are a function of seed, step and rank, so the seed is all."""
    extras: dict[str, Any] = field(default_factory=dict)
    """What else goes on (State.extras), as JSON."""


class State:
    """Everything that a run goes on from: the model, its optimizers and what else is tracked.

    Tensors are named as torch names them, `model.<parameter>` and `optimizer.<parameter>.<moment>`, and are
    the live ones: to copy out of, and to load into in place. All else is small and goes as JSON.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, save_frozen: bool = True
    ) -> None:
        """`save_frozen=False` leaves out weights that are not trained: whoever resumes has them already."""
        self.model = model
        self.optimizer = optimizer
        self.tracked: dict[str, Any] = {}
        """What else has `state_dict` and `load_state_dict`, by name."""
        frozen = set() if save_frozen else {n for n, p in model.named_parameters() if not p.requires_grad}
        self._left_out = frozen
        self._tracked_now: dict[str, Any] = {}

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return the live tensors: `model`, `optimizer` and, where there are any, `tracked`."""
        state = self.model.state_dict()
        found = {
            "model": {n: t for n, t in state.items() if isinstance(t, Tensor) and n not in self._left_out},
            "optimizer": {
                f"{name}.{moment}": value
                for name, parameter in self._parameters()
                for moment, value in self.optimizer.state.get(parameter, {}).items()
                if isinstance(value, Tensor)
            },
        }
        # Some objects make their state anew each time; what was loaded into must be what they are given back.
        self._tracked_now = {name: each.state_dict() for name, each in self.tracked.items()}
        tracked = {
            f"{name}.{path}": value
            for name, each in self._tracked_now.items()
            for path, value in _leaves(each)
            if isinstance(value, Tensor)
        }
        return found | ({"tracked": tracked} if tracked else {})

    def extras(self) -> dict[str, Any]:
        """Return what is no tensor: the optimizer's settings (learning rates), the tracked objects' state."""
        groups = [
            {key: value for key, value in group.items() if key != "params" and _is_plain(value)}
            for group in self.optimizer.param_groups
        ]
        tracked = {name: _without_tensors(each.state_dict()) for name, each in self.tracked.items()}
        return {"groups": groups} | ({"tracked": tracked} if tracked else {})

    def load_extras(self, extras: Mapping[str, Any]) -> None:
        """Put back what `extras` returned; the tensors have been loaded in place before."""
        for group, saved in zip(self.optimizer.param_groups, extras.get("groups", ()), strict=False):
            # JSON has no tuples.
            group |= {k: tuple(v) if isinstance(group.get(k), tuple) else v for k, v in saved.items()}
        for name, saved in extras.get("tracked", {}).items():
            if name in self.tracked:
                now = self._tracked_now.get(name, {})
                self.tracked[name].load_state_dict(_with_tensors(saved, now))

    def make_moments(self) -> None:
        """Let the optimizer make its moments, to load into: a step of no gradient at no learning rate."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] = torch.zeros_like(group["lr"]) if isinstance(group["lr"], Tensor) else 0.0
            for parameter in group["params"]:
                if parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)
        self.optimizer.step()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
            for parameter in group["params"]:
                parameter.grad = None

    def forget_moments(self) -> None:
        """Drop what `make_moments` made: there was nothing to load."""
        self.optimizer.state.clear()

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the optimizer's parameters with their names in the model, or by group and place."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        for number, group in enumerate(self.optimizer.param_groups):
            for place, parameter in enumerate(group["params"]):
                yield names.get(id(parameter), f"group{number}.{place}"), parameter


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _is_plain(value: Any) -> bool:
    """Return whether JSON can hold the value."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def _without_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state without its tensors and without what JSON cannot hold."""
    return {
        key: _without_tensors(value) if isinstance(value, Mapping) else value
        for key, value in state.items()
        if isinstance(value, Mapping) or _is_plain(value)
    }


def _with_tensors(saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what now stands in a state (tensors, and what was not saved) with the saved values put in."""
    merged = dict(now)
    for key, value in saved.items():
        inner = now.get(key)
        merged[key] = _with_tensors(value, inner) if isinstance(inner, Mapping) else value
    return merged
