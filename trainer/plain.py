"""Small states of any kind as JSON and back: numpy's numbers, bytes, tuples, tensors, keys of any kind."""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

TAG = "#"
"""Key of a table that stands for something that JSON does not have."""
_LISTS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
_TABLES: dict[str, Any] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}


class NotPlainError(Exception):
    """A value that cannot be kept; says which, by its path in the state."""


def encode(value: Any, path: str = "") -> Any:
    """Return the value as JSON has it; raises NotPlainError for what `decode` could not give back alike."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return _encode_array(value)
    if type(value) is bytes:
        return {TAG: "bytes", "base64": base64.b64encode(value).decode()}
    if type(value) is list:
        return [encode(inner, f"{path}[{place}]") for place, inner in enumerate(value)]
    kind = type(value).__name__
    if _LISTS.get(kind) is type(value):
        return {TAG: kind, "items": [encode(inner, f"{path}[{place}]") for place, inner in enumerate(value)]}
    if _TABLES.get(kind) is not type(value):
        raise NotPlainError(f"{path or 'it'} is a {type(value).__module__}.{type(value).__qualname__}")
    if kind == "dict" and TAG not in value and all(type(key) is str for key in value):
        return {key: encode(inner, f"{path}.{key}" if path else key) for key, inner in value.items()}
    return {TAG: kind, "items": [[encode(k, path), encode(v, f"{path}[{k!r}]")] for k, v in value.items()]}


def decode(value: Any) -> Any:
    """Return what `encode` was given."""
    if isinstance(value, list):
        return [decode(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    kind = value.get(TAG)
    if kind is None:
        return {key: decode(inner) for key, inner in value.items()}
    if kind == "bytes":
        return base64.b64decode(value["base64"])
    if kind in _LISTS:
        return _LISTS[kind](decode(inner) for inner in value["items"])
    if kind in _TABLES:
        return _TABLES[kind]({decode(key): decode(inner) for key, inner in value["items"]})
    return _decode_array(value)


def _encode_array(value: Any) -> dict[str, Any]:
    is_tensor = isinstance(value, torch.Tensor)
    tensor = value.detach().cpu().contiguous() if is_tensor else torch.from_numpy(np.array(value))
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
    return {
        TAG: "tensor" if is_tensor else "scalar" if isinstance(value, np.generic) else "array",
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "base64": base64.b64encode(data).decode(),
    }


def _decode_array(value: Mapping[str, Any]) -> Any:
    data = bytearray(base64.b64decode(value["base64"]))
    flat = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
    tensor = flat.view(getattr(torch, value["dtype"])).reshape(value["shape"])
    if value[TAG] == "tensor":
        return tensor
    array = tensor.numpy()
    return array[()] if value[TAG] == "scalar" else array
