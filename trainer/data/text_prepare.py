"""Prepares text: documents become shards of tokens, labelled texts, or stay text for a tokenizer to come."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.configs.data import DocumentsConfig, TextConfig
from trainer.configs.settings import ConfigError
from trainer.data.bundled_sets import CHARACTERS
from trainer.data.dataset import PARTS
from trainer.data.documents import Document, read_documents
from trainer.data.errors import DatasetError
from trainer.data.mapped import NUMPY_KINDS
from trainer.data.places import Place
from trainer.data.prepared import Prepared
from trainer.data.progress import Progress
from trainer.data.quarantine import Quarantine
from trainer.data.table_check import class_counts, rare_classes
from trainer.data.token_writer import TokenWriter
from trainer.data.units import Note, do_units

BYTES_PER_UNIT = 2**26
"""Bytes of text files that are encoded between two notes of where a preparation is."""
SHARDS_PER_UNIT = 1000
LEARNED_CHARACTERS = 200_000_000
"""Characters of the training part that byte pairs are learned from, at most."""

UNKNOWN = 0
"""Token of a character that is not in the list; it ends documents as well."""
MOST_UNKNOWN = 0.01
"""Share of such characters from which the check warns."""

Encode = Callable[[Iterable[str]], Iterator[Sequence[int]]]


def prepare_tokens(
    folder: Path, config: TextConfig, places: Sequence[Place], quarantine: Quarantine
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """Write documents as shards of tokens; return their entries, what about.json says, and the check."""
    encode, about = _tokenizer(folder, config, places, quarantine)
    units = _units(places)
    progress = Progress("files", len(places))

    def work(number: int) -> Note:
        writers = _writers(folder, number, about["vocabulary"])
        # Units are done in order: the documents of those before are counted by now.
        return _encode_unit(
            writers, config, units[number], encode, sum(documents.values()), alone=len(places) == 1
        )

    files: list[Any] = []
    documents, tokens, unknown = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0), 0
    for number, note in enumerate(do_units(folder, len(units), work)):
        files += note["files"]
        quarantine.take(note["broken"])
        unknown += note["unknown"]
        for part in PARTS:
            documents[part] += note["documents"][part]
            tokens[part] += note["tokens"][part]
        progress.add(len(units[number]))
    progress.close()
    quarantine.check(sum(documents.values()))
    _both(documents)
    report = {"documents": documents, "tokens": tokens, "bad_rows": len(quarantine)}
    report["warnings"] = _unknown(unknown, sum(tokens.values()))
    return files, about | {"source": config.path}, report


def _unknown(unknown: int, total: int) -> list[str]:
    if unknown <= MOST_UNKNOWN * total:
        return []
    share = f"{unknown / total:.0%} of the characters are not ASCII, and all one token"
    return [f'{share}: data.tokenizer = "bpe" takes any text']


def prepare_labelled(config: TextConfig, places: Sequence[Place], quarantine: Quarantine) -> Prepared:
    """Return labelled texts as tokens, offsets and labels, each part in memory."""
    from trainer.text import sets as text_sets

    documents = list(read_documents(places, config, quarantine, alone=len(places) == 1))
    known = {document.label for document in documents if not document.held_out}
    for document in documents:
        if document.label not in known:
            what = f"the label {document.label!r} is that of no training text"
            quarantine.add(document.file, document.row, what)
    kept = [document for document in documents if document.label in known]
    quarantine.check(len(kept))
    if len(known) < 2:
        raise DatasetError(f"data.label_column: {config.label_column!r} has fewer than two different labels")
    texts = {part: [(each.text, each.label) for each in of] for part, of in _by_part(kept).items()}
    tokenizer = _learn((text for text, _ in texts["train"]), config.vocabulary)
    arrays, about = text_sets.encode_labelled(texts["train"], texts["held_out"], tokenizer)
    parts: dict[str, dict[str, NDArray[Any]]] = {part: {} for part in PARTS}
    for name, block in arrays.items():
        part = "train" if name.startswith("train_") else "held_out"
        numbers = np.frombuffer(block.data, NUMPY_KINDS[block.dtype]).reshape(block.shape)
        parts[part][name.removeprefix(f"{part}_")] = numbers
    classes = class_counts(parts, "labels", about["classes"])
    report = {"documents": {part: len(of) for part, of in texts.items()}, "classes": classes}
    report |= {"bad_rows": len(quarantine), "warnings": rare_classes(classes) + _copies(texts)}
    return Prepared("labelled_text", parts, about | {"source": config.path}, report)


def prepare_documents(config: DocumentsConfig, places: Sequence[Place], quarantine: Quarantine) -> Prepared:
    """Return the documents as they are: their bytes, and where each prompt and each text ends."""
    documents = list(read_documents(places, config, quarantine, alone=len(places) == 1))
    quarantine.check(len(documents))
    parts: dict[str, dict[str, NDArray[Any]]] = {}
    for part, of in _by_part(documents).items():
        blocks = [block.encode(errors="replace") for each in of for block in (each.prompt, each.text)]
        ends = array("q", itertools.accumulate(map(len, blocks), initial=0))
        text = np.frombuffer(b"".join(blocks), np.uint8)
        parts[part] = {"text": text, "offsets": np.frombuffer(ends, np.int64)}
    counts = {part: len(arrays["offsets"]) // 2 for part, arrays in parts.items()}
    report = {"documents": counts, "bad_rows": len(quarantine), "warnings": []}
    return Prepared(
        "documents", parts, {"prompted": bool(config.prompt_column), "source": config.path}, report
    )


def _by_part(documents: Sequence[Document]) -> dict[str, list[Document]]:
    parts: dict[str, list[Document]] = {part: [] for part in PARTS}
    for document in documents:
        parts["held_out" if document.held_out else "train"].append(document)
    _both({part: len(of) for part, of in parts.items()})
    return parts


def _both(counts: dict[str, int]) -> None:
    for part, count in counts.items():
        if not count:
            raise DatasetError(
                f"the {part} part has no documents: change data.held_out, or bring more of them"
            )


def _copies(texts: dict[str, list[tuple[str, str]]]) -> list[str]:
    train = {text for text, _ in texts["train"]}
    both = sum(text in train for text, _ in texts["held_out"])
    what = "held-out texts are copies of training texts: their score is too good"
    return [f"{both} {what}"] if both else []


def _units(places: Sequence[Place]) -> list[list[Place]]:
    """Return the files in runs of about BYTES_PER_UNIT."""
    units: list[list[Place]] = []
    size = BYTES_PER_UNIT
    for place in places:
        if size >= BYTES_PER_UNIT:
            units.append([])
            size = 0
        units[-1].append(place)
        size += place.size
    return units


def _tokenizer(
    folder: Path, config: TextConfig, places: Sequence[Place], quarantine: Quarantine
) -> tuple[Encode, dict[str, Any]]:
    """Return what turns documents into tokens, each with its end, and what about.json says of it."""
    if config.tokenizer == "characters":
        token_of = {character: token for token, character in enumerate(CHARACTERS)}

        def encode(texts: Iterable[str]) -> Iterator[Sequence[int]]:
            return ([*(token_of.get(character, 0) for character in text), 0] for text in texts)

        return encode, {"characters": CHARACTERS, "vocabulary": len(CHARACTERS)}
    from trainer.text.tokenizer import Tokenizer

    # Learned once: a preparation that goes on after a kill must not cut the rest otherwise.
    path = folder / ".tokenizer.json"
    if path.is_file():
        tokenizer = Tokenizer(path.read_text(encoding="utf-8"))
    else:
        documents = read_documents(places, config, quarantine, alone=len(places) == 1)
        training = (each.text for each in documents if not each.held_out)
        if (some := next(training, None)) is None:
            quarantine.check(0)
            raise DatasetError("the train part has no documents: change data.held_out, or bring more of them")
        tokenizer = _learn(itertools.chain([some], training), config.vocabulary)
        partial = path.with_name(".tokenizer.json.partial")
        partial.write_text(tokenizer.json, encoding="utf-8")
        partial.replace(path)
    return tokenizer.encode_documents, {"tokenizer": tokenizer.json, "vocabulary": tokenizer.vocabulary_size}


def _learn(texts: Iterable[str], vocabulary: int) -> Any:
    from trainer.text.tokenizer import train_tokenizer

    def some() -> Iterator[str]:
        characters = 0
        for text in texts:
            if characters >= LEARNED_CHARACTERS:
                return
            characters += len(text)
            yield text

    try:
        return train_tokenizer(some(), vocabulary)
    except ConfigError as error:
        raise DatasetError("; ".join(error.problems)) from None


def _writers(folder: Path, number: int, vocabulary: int) -> dict[str, TokenWriter]:
    return {part: TokenWriter(folder, part, number * SHARDS_PER_UNIT, vocabulary) for part in PARTS}


def _encode_unit(
    writers: dict[str, TokenWriter],
    config: TextConfig,
    places: Sequence[Place],
    encode: Encode,
    first: int,
    *,
    alone: bool,
) -> Note:
    """Write the documents of one unit, `first` of which came before it."""
    quarantine = Quarantine(1)
    counts, unknown = dict.fromkeys(PARTS, 0), 0
    # Documents are encoded many at once, in order; beside them runs which part each of them is of.
    pairs, texts = itertools.tee(read_documents(places, config, quarantine, first, alone=alone))
    for document, tokens in zip(pairs, encode(each.text for each in texts), strict=True):
        part = "held_out" if document.held_out else "train"
        writers[part].add(tokens)
        counts[part] += 1
        if config.tokenizer == "characters":
            unknown += tokens.count(UNKNOWN) - 1  # the end of the document is the same token
    for writer in writers.values():
        writer.close()
    return {
        "files": [file for writer in writers.values() for file in writer.files],
        "broken": quarantine.note(),
        "documents": counts,
        "unknown": unknown,
        "tokens": {part: writer.count for part, writer in writers.items()},
    }
