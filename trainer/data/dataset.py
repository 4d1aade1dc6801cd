"""A prepared data set: a folder of shards for two parts, and about.json, without which it does not exist."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import Shape
from trainer.data.errors import DatasetError
from trainer.data.mapped import map_array, map_safetensors
from trainer.files.digests import file_sha256

if TYPE_CHECKING:
    from trainer.data.source import ArraySource, TokenSource

FORMAT = "fleetform-dataset/1"
ABOUT = "about.json"
PARTS = ("train", "held_out")
SMALL = 16 * 2**20
"""Bytes of a data set up to which its digests are checked whenever it is opened; of larger ones the sizes."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Dataset:
    """A prepared data set, its arrays mapped."""

    name: str
    kind: Shape
    digest: str
    """SHA-256 of about.json, which has the digest of every file."""
    about: dict[str, Any]
    """What a task needs to know: classes, columns, tokenizer (docs/data.md has the keys of each kind)."""
    report: dict[str, Any]
    """The data check: what was counted and what was noticed when it was prepared."""
    shards: dict[str, tuple[Arrays, ...]]
    """The arrays of each part's files, in order."""

    @property
    def train(self) -> ArraySource:
        """The items to train on."""
        return self._array_source("train")

    @property
    def held_out(self) -> ArraySource:
        """The items held out from training."""
        return self._array_source("held_out")

    def arrays(self, part: str) -> Arrays:
        """Return a part's arrays, several files' put together in memory."""
        return merged(self.shards[part])

    def tokens(self, part: str) -> tuple[NDArray[Any], ...]:
        """Return a part's shards of tokens, each of one dimension."""
        assert self.kind == "tokens", "the data set is made of tokens"
        return tuple(shard["tokens"] for shard in self.shards[part])

    def token_source(self, part: str, context: int, *, shifted: bool = False) -> TokenSource:
        """Return a part's windows of `context` tokens (trainer/data/source.py says what `shifted` does)."""
        from trainer.data.source import TokenSource

        return TokenSource(self.tokens(part), context, shifted=shifted)

    def _array_source(self, part: str) -> ArraySource:
        # torch is not there where data is prepared.
        from trainer.data.source import ArraySource

        assert self.kind in ("pictures", "table"), "the data set's items are rows of arrays"
        return ArraySource(self.shards[part])


def merged(shards: Sequence[Arrays]) -> Arrays:
    """Return the shards' arrays put together, of one shard as they are."""
    if len(shards) == 1:
        return shards[0]
    return {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}


def open_dataset(folder: Path) -> Dataset:
    """Return the data set of a folder; raises DatasetError where it is not as it was prepared."""
    path = folder / ABOUT
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{folder} holds no prepared data set: it has no {ABOUT}") from None
    except ValueError:
        raise DatasetError(f"{path} is damaged: prepare the data again") from None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise DatasetError(f"{path} is not of the format {FORMAT}: prepare the data again")
    check_files(folder, table["files"])
    opened = [(file["part"], _open_file(folder / file["name"], file)) for file in table["files"]]
    shards = {each: tuple(arrays for part, arrays in opened if part == each) for each in PARTS}
    return Dataset(table["name"], table["kind"], file_sha256(path), table["about"], table["report"], shards)


def check_files(folder: Path, files: Sequence[Mapping[str, Any]], *, digests: bool | None = None) -> None:
    """Raise DatasetError where a file is not what it was: by its size, and by its digest where data is small.

    `digests` decides about the latter, whatever the size.
    """
    if digests is None:
        digests = sum(file["bytes"] for file in files) <= SMALL
    for file in files:
        path = folder / file["name"]
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            raise DatasetError(f"{path} is missing: prepare the data again")
        if size != file["bytes"]:
            raise DatasetError(
                f"{path} has {size} bytes, and had {file['bytes']} when it was made: prepare the data again"
            )
        if digests and file_sha256(path) != file["sha256"]:
            raise DatasetError(f"{path} has been changed since it was made: prepare the data again")


def _open_file(path: Path, file: Mapping[str, Any]) -> Arrays:
    if path.suffix != ".bin":
        return map_safetensors(path)
    kind = np.dtype(file["dtype"]).newbyteorder("<")
    offset, count = file.get("offset", 0), file["items"]
    if kind.kind != "u" or offset + count * kind.itemsize > file["bytes"]:
        raise DatasetError(f"{path} does not hold {count} tokens of {kind.name}: prepare the data again")
    return {"tokens": map_array(path, kind.str, (count,), offset)}
