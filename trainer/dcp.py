"""torch.distributed.checkpoint for one process among many, under every torch from 2.6 on."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# torch is imported where it is needed, for what reads manifests alone needs none of its seconds.


def save_alone(state: dict[str, Any], folder: Path) -> None:
    """Write the state (nested dictionaries of tensors) into the folder without asking other processes."""
    from torch.distributed.checkpoint.filesystem import FileSystemWriter
    from torch.distributed.checkpoint.state_dict_saver import save, save_state_dict

    with _quiet():
        if takes_no_dist(save):
            save(state, checkpoint_id=folder, no_dist=True)
        else:
            save_state_dict(state, FileSystemWriter(folder), no_dist=True)


def load_alone(state: dict[str, Any], folder: Path) -> None:
    """Read the folder's tensors into those of `state`, in place, without asking other processes."""
    from torch.distributed.checkpoint.filesystem import FileSystemReader
    from torch.distributed.checkpoint.state_dict_loader import load, load_state_dict

    with _quiet():
        if takes_no_dist(load):
            load(state, checkpoint_id=folder, no_dist=True)
        else:
            load_state_dict(state, FileSystemReader(folder), no_dist=True)


def takes_no_dist(function: Any) -> bool:
    """Return whether a function of torch.distributed.checkpoint can be told that this process is alone.

    `save` and `load` of torch 2.6 can't, and would wait for the other processes; the older functions can.
    """
    return "no_dist" in inspect.signature(function).parameters


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the warnings that one process alone saves, and that older torch uses what is older still."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is ", category=UserWarning)
        warnings.filterwarnings("ignore", message="TypedStorage is deprecated", category=UserWarning)
        warnings.filterwarnings("ignore", message=".*_state_dict` is deprecated", category=FutureWarning)
        yield
