"""What preparing data comes to before it is written: both parts' arrays, what a task must know, the check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from trainer.configs.data import Shape
from trainer.data.dataset import PARTS
from trainer.data.dataset_writer import FileEntry, finish, write_arrays, write_tokens

TOKENS_PER_SHARD = 2**27
"""Tokens of a shard of text at most: 256 MiB of two bytes each."""
BYTES_PER_SHARD = 2**28
"""Bytes of a shard of arrays at most, unless one item has more."""


@dataclass(frozen=True)
class Prepared:
    """A data set in memory."""

    shape: Shape
    parts: Mapping[str, Mapping[str, NDArray[Any]]]
    """The arrays of `train` and `held_out`; of tokens, `tokens` [n]."""
    about: Mapping[str, Any]
    report: Mapping[str, Any] = field(default_factory=dict)


def write_prepared(folder: Path, prepared: Prepared, name: str, settings: Mapping[str, Any]) -> Path:
    """Write the data set in shards of a bounded size and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    files: list[FileEntry] = []
    for part in PARTS:
        arrays = prepared.parts[part]
        if prepared.shape == "tokens":
            tokens = arrays["tokens"]
            starts = range(0, max(len(tokens), 1), TOKENS_PER_SHARD)
            cuts = [tokens[start : start + TOKENS_PER_SHARD] for start in starts]
            files += [write_tokens(folder, part, number, cut) for number, cut in enumerate(cuts)]
        elif prepared.shape in ("pictures", "table"):
            items = len(next(iter(arrays.values())))
            width = max(sum(array.nbytes for array in arrays.values()) // max(items, 1), 1)
            rows = max(BYTES_PER_SHARD // width, 1)
            for number, start in enumerate(range(0, items, rows)):
                shard = {key: array[start : start + rows] for key, array in arrays.items()}
                files.append(write_arrays(folder, part, number, shard))
        else:  # rows of different lengths, which offsets cut: one file a part
            files.append(write_arrays(folder, part, 0, arrays))
    return finish(
        folder,
        name=name,
        kind=prepared.shape,
        files=files,
        about=prepared.about,
        report=prepared.report,
        settings=settings,
    )
