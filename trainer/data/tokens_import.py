"""Takes over shards of tokens that exist already: plain numbers, with or without the header of llm.c."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.configs.data import TokensConfig
from trainer.data import s3
from trainer.data.dataset import ABOUT, PARTS, open_dataset
from trainer.data.dataset_writer import FileEntry, file_entry
from trainer.data.errors import DatasetError
from trainer.data.mapped import map_array
from trainer.data.places import Place

HEADER_BYTES = 1024
HEADERS = {20240520: "uint16", 20240801: "uint32"}
"""Kind of token by the first number of a file with a header of 256 int32 (karpathy/llm.c, dev/data)."""
HELD_OUT_WORDS = re.compile(r"(?<![a-z])(val|valid|validation|test|held_?out)(?![a-z])")
"""A file with one of these words in its name, or in its folders', is held out."""


@dataclass(frozen=True)
class Shard:
    """A file of tokens in the data set's folder."""

    path: Path
    dtype: str
    offset: int
    """Byte at which the tokens begin."""
    count: int
    """Tokens."""


def import_tokens(
    folder: Path, config: TokensConfig, places: Sequence[Place]
) -> tuple[list[FileEntry], dict[str, Any], dict[str, Any]]:
    """Bring the shards into the folder; return their entries, what about.json says, and the data check."""
    folder.mkdir(parents=True, exist_ok=True)
    known = _own_about(config)
    paths = [_bring(place, folder / name) for place, name in zip(places, _names(places), strict=True)]
    shards = [_read_header(path, config, place, known) for path, place in zip(paths, places, strict=True)]
    files = _split(shards, config.held_out)
    about = {key: value for key, value in known.get("about", {}).items() if key != "vocabulary"}
    about |= {"vocabulary": _vocabulary(shards, config, known), "source": config.path}
    tokens = {part: sum(file["items"] for file in files if file["part"] == part) for part in PARTS}
    return files, about, {"tokens": tokens, "warnings": []}


def _own_about(config: TokensConfig) -> dict[str, Any]:
    """Return what write_shards noted of the folder, or {} where it is somebody else's."""
    folder = Path(config.path).expanduser()
    if config.path.startswith(s3.SCHEME) or not (folder / ABOUT).is_file():
        return {}
    opened = open_dataset(folder)
    return {"about": opened.about, "dtype": opened.tokens("train")[0].dtype.name}


def _names(places: Sequence[Place]) -> list[str]:
    """Return a name for each file in one folder: a/b.bin and a-b.bin are two."""
    names: dict[str, None] = {}
    for place in places:
        name = place.name[: -len(".bin")].replace("/", "-") + ".bin"  # .BIN is one as well
        while name in names:
            name = f"{name.removesuffix('.bin')}-.bin"
        names[name] = None
    return list(names)


def _bring(place: Place, path: Path) -> Path:
    """Link the file to the path, or copy it where it lies on another disk or in S3."""
    path.unlink(missing_ok=True)
    if place.where.startswith(s3.SCHEME):
        s3.download_object(place.where, path)
        return path
    try:
        os.link(os.path.realpath(place.where), path)
    except OSError:
        shutil.copyfile(place.where, path)
    return path


def _read_header(path: Path, config: TokensConfig, place: Place, known: dict[str, Any]) -> Shard:
    size, offset = path.stat().st_size, 0
    dtype = known.get("dtype", "uint16") if config.dtype == "auto" else config.dtype
    with path.open("rb") as file:
        first = file.read(12)
    header = np.frombuffer(first, "<i4") if len(first) == 12 else np.zeros(3, "<i4")
    if int(header[0]) in HEADERS:
        dtype, offset = HEADERS[int(header[0])], HEADER_BYTES
        if config.dtype not in ("auto", dtype):
            raise DatasetError(
                f"data.dtype: {place.name} says of itself that it is {dtype}, not {config.dtype}"
            )
    count, rest = divmod(size - offset, np.dtype(dtype).itemsize)
    if rest or count < 2:
        raise DatasetError(f"{place.name}: {size} bytes are no whole number of {dtype} tokens, or too few")
    if offset and count != int(header[2]):
        raise DatasetError(
            f"{place.name}: its header says {int(header[2])} tokens, it has {count}: fetch it again"
        )
    if config.dtype == "auto" and not known and not offset:
        _check_width(path, place)
    return Shard(path, dtype, offset, count)


def _check_width(path: Path, place: Place) -> None:
    """Raise DatasetError where a file without a header looks as if its numbers had four bytes each."""
    numbers = np.fromfile(path, "<u2", 8192)
    low, high = numbers[::2], numbers[1::2]
    if len(high) >= 64 and high.max() < 16 <= low.max():  # tokens below 2**20
        raise DatasetError(
            f'{place.name}: looks like uint32, and has no header: say data.dtype = "uint32", or "uint16"'
        )


def _split(shards: Sequence[Shard], share: float) -> list[FileEntry]:
    """Return the entries: held out is what is named so, else the last share of all tokens."""
    named = [bool(HELD_OUT_WORDS.search(shard.path.name.lower())) for shard in shards]
    if any(named) and not all(named):
        return [_entry(shard, PARTS[held], 0, shard.count) for shard, held in zip(shards, named, strict=True)]
    cut = sum(shard.count for shard in shards) - max(int(share * sum(shard.count for shard in shards)), 2)
    files, before = [], 0
    for shard in shards:
        here = min(max(cut - before, 0), shard.count)
        if here:
            files.append(_entry(shard, "train", 0, here))
        if here < shard.count:
            files.append(_entry(shard, "held_out", here, shard.count - here))
        before += shard.count
    return files


def _entry(shard: Shard, part: str, first: int, count: int) -> FileEntry:
    entry = file_entry(shard.path, part, count)
    return entry | {"dtype": shard.dtype, "offset": shard.offset + first * np.dtype(shard.dtype).itemsize}


def _vocabulary(shards: Sequence[Shard], config: TokensConfig, known: dict[str, Any]) -> int:
    """Return the number of different tokens, after looking at all of them."""
    given = config.vocabulary or known.get("about", {}).get("vocabulary", 0)
    largest = 0
    for shard in shards:
        tokens = map_array(shard.path, f"<u{np.dtype(shard.dtype).itemsize}", (shard.count,), shard.offset)
        here = int(tokens.max())
        if given and here >= given:
            raise DatasetError(f"{shard.path.name} has the token {here}, the vocabulary ends at {given - 1}")
        largest = max(largest, here)
    return int(given or largest + 1)
