"""The state that a run resumes from: weights and moments as named tensors, the rest as JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from trainer.configs.settings import ConfigError
from trainer.plain import NotPlainError, decode, encode


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
        self._expected: dict[str, Tensor] = {}
        """Tensors of tracked objects that a checkpoint has and they do not have yet."""

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
        tracked |= {name: tensor for name, tensor in self._expected.items() if name not in tracked}
        return found | ({"tracked": tracked} if tracked else {})

    def parameters(self) -> frozenset[str]:
        """Return the names among `tensors` that nothing but an update changes, alike on every process."""
        return frozenset(f"model.{name}" for name, _ in self.model.named_parameters())

    def fit(self, saved: Mapping[str, tuple[Sequence[int], torch.dtype]]) -> None:
        """Have the tensors that were saved (shape and type by name), as far as it is this state's to choose.

        Moments are made or dropped: a parameter without a gradient has none. A tracked object that had
        tensors which it does not have yet is given them by `load_extras`.
        """
        had = {name.removeprefix("optimizer.").rpartition(".")[0] for name in saved if _is_moment(name)}
        parameters = dict(self._parameters())
        if any(
            name in had and parameter not in self.optimizer.state for name, parameter in parameters.items()
        ):
            self.make_moments()
        for name, parameter in parameters.items():
            if name not in had:
                self.optimizer.state.pop(parameter, None)
        self._expected = {}
        now = self.tensors().get("tracked", {})
        for name, (shape, dtype) in saved.items():
            path = name.removeprefix("tracked.")
            if path != name and path not in now and path.partition(".")[0] in self.tracked:
                self._expected[path] = torch.empty(tuple(shape), dtype=dtype)

    def extras(self) -> dict[str, Any]:
        """Return what is no tensor: the optimizer's settings (learning rates), the tracked objects' state.

        Raises ConfigError where a tracked object's state holds what JSON cannot keep.
        """
        groups = [_settings_of(group) for group in self.optimizer.param_groups]
        tracked, problems = {}, []
        for name, each in self.tracked.items():
            try:
                tracked[name] = encode(_without_tensors(each.state_dict()))
            except NotPlainError as error:
                problems.append(f"run.track({name}=...): its state cannot be kept: {error}")
        if problems:
            raise ConfigError(problems)
        if not tracked:
            return {"groups": groups}
        paths = {name: _tensor_paths(each.state_dict()) for name, each in self.tracked.items()}
        return {"groups": groups, "tracked": tracked, "tracked_tensors": paths}

    def load_extras(self, extras: Mapping[str, Any]) -> None:
        """Put back what `extras` returned; the tensors have been loaded in place before."""
        for group, saved in zip(self.optimizer.param_groups, extras.get("groups", ()), strict=False):
            for key, value in decode(saved).items():
                if isinstance(group.get(key), Tensor) and isinstance(value, Tensor):
                    group[key].copy_(value)  # a compiled step may hold on to the tensor
                else:
                    group[key] = value
        for name, saved in extras.get("tracked", {}).items():
            if name in self.tracked:
                state = _with_tensors(decode(saved), self._tracked_now.get(name, {}))
                for path in map(decode, extras.get("tracked_tensors", {}).get(name, ())):
                    key = ".".join(map(str, (name, *path)))
                    if key in self._expected:
                        _put(state, path, self._expected[key])
                self.tracked[name].load_state_dict(state)
        self._expected = {}

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


def _is_moment(name: str) -> bool:
    return name.startswith("optimizer.")


def _tensor_paths(state: Any, path: tuple[Any, ...] = ()) -> list[Any]:
    """Return the keys that lead to each tensor in tables, encoded."""
    if isinstance(state, Mapping):
        return [found for key, inner in state.items() for found in _tensor_paths(inner, (*path, key))]
    return [encode(list(path))] if isinstance(state, Tensor) else []


def _put(state: Any, path: Sequence[Any], tensor: Tensor) -> None:
    """Put a tensor into tables, which are made where there are none."""
    for key in path[:-1]:
        state = state.setdefault(key, {})
    state[path[-1]] = tensor


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _settings_of(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter group's settings; functions are the code's to give again."""
    settings = {}
    for key, value in group.items():
        if key != "params":
            with contextlib.suppress(NotPlainError):
                settings[key] = encode(value)
    return settings


def _without_tensors(state: Any) -> Any:
    """Return the state without the tensors that lie in its tables, which `tensors` has."""
    if not isinstance(state, Mapping):
        return state
    kept = {key: _without_tensors(value) for key, value in state.items() if not isinstance(value, Tensor)}
    return kept if type(state) is dict else type(state)(kept)  # type: ignore[call-arg]


def _with_tensors(saved: Any, now: Any) -> Any:
    """Return the saved state with the tensors put in that stand in the present one."""
    if not (isinstance(saved, Mapping) and isinstance(now, Mapping)):
        return saved
    merged: Any = type(saved)(saved)  # type: ignore[call-arg]
    for key, value in now.items():
        if isinstance(value, Tensor):
            merged[key] = value
        elif key in saved:
            merged[key] = _with_tensors(saved[key], value)
    return merged
