"""Reads documents: files of text, or rows of a table with a text each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.configs.data import DocumentsConfig, TextConfig
from trainer.configs.tables import nearest_hint
from trainer.data import rows
from trainer.data.cells import is_empty, text_of
from trainer.data.errors import DatasetError
from trainer.data.places import Place, on_this_machine
from trainer.data.quarantine import Quarantine
from trainer.data.split import is_held_out

TEXT_SUFFIXES = (
    *(".txt", ".text", ".md", ".rst", ".tex", ".html", ".py", ".pyi", ".c", ".h", ".cpp", ".hpp", ".cu"),
    *(
        ".java",
        ".js",
        ".ts",
        ".go",
        ".rs",
        ".rb",
        ".sh",
        ".sql",
        ".r",
        ".jl",
        ".css",
        ".toml",
        ".yaml",
        ".yml",
    ),
)
"""Files that are a document each."""
SUFFIXES = (*TEXT_SUFFIXES, *rows.SUFFIXES)


@dataclass(frozen=True)
class Document:
    """One text, and what is known of it."""

    text: str
    held_out: bool
    file: str
    row: int | None
    """Row of the file; None where the document is all of it."""
    label: str = ""
    prompt: str = ""


def read_documents(
    places: Sequence[Place],
    config: TextConfig | DocumentsConfig,
    quarantine: Quarantine,
    first: int = 0,
    *,
    alone: bool,
) -> Iterator[Document]:
    """Yield the documents of the files in order, each with its part; broken ones are quarantined.

    `first` is the number of the first one, where files before these had documents as well. Of a text that is
    `alone`, all of the data, the end is held out.
    """
    number = first
    if alone and not places[0].name.lower().endswith(rows.SUFFIXES):
        yield from _cut(places[0], config, quarantine)
        return
    for place in places:
        with on_this_machine([place], quarantine) as files:
            for name, path in files:
                for text, row, label, prompt in _documents_of(name, path, config, quarantine):
                    # Answers to one prompt stay together: else training sees what it is asked.
                    content = (prompt or text).encode(errors="replace")
                    held = is_held_out(config.split, config.held_out, number, content)
                    yield Document(text, held, name, row, label, prompt)
                    number += 1


def _cut(place: Place, config: TextConfig | DocumentsConfig, quarantine: Quarantine) -> Iterator[Document]:
    """Yield a text that is all of the data in two documents: its end is held out, from a line's beginning."""
    with on_this_machine([place], quarantine) as files:
        for name, path in files:
            for text, *_ in _whole(name, path, quarantine):
                place_of_cut = int(len(text) * (1 - config.held_out))
                cut = text.rfind("\n", 0, place_of_cut) + 1 or place_of_cut
                yield Document(text[:cut], False, name, None)
                yield Document(text[cut:], True, name, None)


def _documents_of(
    name: str, path: Path, config: TextConfig | DocumentsConfig, quarantine: Quarantine
) -> Iterator[tuple[str, int | None, str, str]]:
    if name.lower().endswith(rows.SUFFIXES):
        return _of_rows(name, path, config, quarantine)
    return _whole(name, path, quarantine)


def _whole(name: str, path: Path, quarantine: Quarantine) -> Iterator[tuple[str, int | None, str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        quarantine.add(name, None, f"is not UTF-8: byte {error.start + 1}")
        return
    except OSError as error:
        quarantine.add(name, None, error.strerror or str(error))
        return
    if text.strip():
        yield text, None, "", ""


def _of_rows(
    name: str, path: Path, config: TextConfig | DocumentsConfig, quarantine: Quarantine
) -> Iterator[tuple[str, int | None, str, str]]:
    if is_text := isinstance(config, TextConfig):
        key, optional = "label_column", config.label_column
    else:
        key, optional = "prompt_column", config.prompt_column
    first = True
    for _, number, row in rows.read_rows([(name, path)], quarantine):
        for setting, column in (("text_column", config.text_column), (key, optional)):
            if column and column not in row:
                if first:
                    hint = nearest_hint(column, row)
                    raise DatasetError(f"data.{setting}: {name} has no column {column!r}{hint}")
                quarantine.add(name, number, f"has no {column!r}")
        first = False
        if quarantine.has(name, number):
            continue
        if is_empty(row[config.text_column]):
            quarantine.add(name, number, f"{config.text_column!r} is empty")
        elif optional and is_empty(row[optional]):
            quarantine.add(name, number, f"{optional!r} is empty")
        else:
            other = text_of(row[optional]) if optional else ""
            text = str(row[config.text_column])
            yield (text, number, other, "") if is_text else (text, number, "", other)
