"""Writes documents of tokens as shards of a bounded size: raw little-endian numbers and nothing else."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainer.configs.data import Split
from trainer.data.dataset import PARTS
from trainer.data.dataset_writer import FileEntry, finish, write_tokens
from trainer.data.prepared import TOKENS_PER_SHARD
from trainer.data.split import is_held_out


class TokenWriter:
    """Collects the tokens of one part and writes a shard whenever enough have come together."""

    def __init__(self, folder: Path, part: str, first: int, vocabulary: int) -> None:
        """Number the shards from `first` on; two bytes a token where the vocabulary fits into them."""
        self.files: list[FileEntry] = []
        self.count = 0
        self._folder, self._part, self._next = folder, part, first
        self._code = "H" if vocabulary <= 2**16 else "I"
        self._tokens = array(self._code)

    def add(self, tokens: Iterable[int]) -> None:
        """Append one document's tokens."""
        before = len(self._tokens)
        self._tokens.extend(tokens)
        self.count += len(self._tokens) - before
        if len(self._tokens) >= TOKENS_PER_SHARD:
            self._write()

    def close(self) -> None:
        """Write what is left."""
        if self._tokens:
            self._write()

    def _write(self) -> None:
        tokens = np.frombuffer(self._tokens, np.dtype(self._code))
        self.files.append(write_tokens(self._folder, self._part, self._next, tokens))
        self._next += 1
        self._tokens = array(self._code)


def write_shards(
    folder: Path,
    documents: Iterable[Sequence[int]],
    *,
    vocabulary: int,
    held_out: float = 0.01,
    split: Split = "content",
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write documents that somebody has cut into tokens already as a data set, and return its folder.

    Each has its end token, if it wants one, as its last. `about` may have the text of a `tokenizer` (a
    tokenizer.json). What open_dataset and `data.kind = "tokens"` read.
    """
    assert 0 < vocabulary <= 2**32, "a token has at most four bytes"
    folder.mkdir(parents=True, exist_ok=True)
    writers = {part: TokenWriter(folder, part, 0, vocabulary) for part in PARTS}
    counts = dict.fromkeys(PARTS, 0)
    for number, document in enumerate(documents):
        content = np.asarray(document, np.uint32)
        assert not len(content) or int(content.max()) < vocabulary, "a token is of the vocabulary"
        held = is_held_out(split, held_out, number, content.tobytes())
        part = "held_out" if held else "train"
        writers[part].add(document)
        counts[part] += 1
    for writer in writers.values():
        writer.close()
    tokens = {part: writer.count for part, writer in writers.items()}
    return finish(
        folder,
        name=folder.name,
        kind="tokens",
        files=[file for writer in writers.values() for file in writer.files],
        about={"vocabulary": vocabulary, **(about or {})},
        report={"documents": counts, "tokens": tokens, "warnings": []},
        settings={},
    )
