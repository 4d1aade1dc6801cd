"""The trained model as a program that torch alone runs: `model.pt2`, made by torch.export."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

FILE = "model.pt2"
_EXAMPLE_ROWS = 2
"""torch.export takes a size of 1 for a constant."""


@dataclass(frozen=True)
class Exportable:
    """A module with all that lies between a user's input and the answer, and how it is called."""

    module: nn.Module
    """Takes the example's tensors, of any number of rows, on the CPU."""
    example: tuple[Tensor, ...]
    """Tensors of one row each."""
    usage: str
    """Python that puts `model` to work on rows of its own, one line; `torch` is imported."""
    takes: str
    """What the tensors are, in words."""
    gives: str
    """What the module returns, in words."""


def save_program(folder: Path, exportable: Exportable) -> Path | None:
    """Write `model.pt2` into the folder for any number of rows and return its path.

    Where torch.export cannot follow the module there is a warning and no file.
    """
    path = folder / FILE
    path.unlink(missing_ok=True)
    example = tuple(
        tensor.expand(_EXAMPLE_ROWS, *tensor.shape[1:]).contiguous() for tensor in exportable.example
    )
    rows = torch.export.Dim("rows")
    try:
        with warnings.catch_warnings():
            # torch's own deprecations on the way are nothing to the user.
            warnings.simplefilter("ignore")
            program = torch.export.export(
                exportable.module.eval(), example, dynamic_shapes=tuple({0: rows} for _ in example)
            )
            partial = folder / f".{FILE}.partial.pt2"
            torch.export.save(program, partial)
        partial.replace(path)
    except Exception as error:  # torch.export raises errors of many kinds, its own and others'
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"no {FILE}: torch.export cannot follow this model: {reason}", stacklevel=2)
        return None
    return path
