"""Tells files that look right and are not (workbooks, phone pictures, other encodings), and what to do."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleet.file_names import is_rubbish, shown
from stacks.problems import Problem

_AS_CSV = "open it in Excel and save it as `CSV UTF-8`"
_AS_TEXT = "save it as plain text in UTF-8"
_BY_SUFFIX: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), ("is a workbook, which is not read", _AS_CSV)),
    **dict.fromkeys(
        (".heic", ".heif", ".avif"),
        ("is a picture as phones keep it, which is not read", "export it as JPEG"),
    ),
    **dict.fromkeys(
        (".hwp", ".hwpx", ".doc", ".docx", ".pdf", ".rtf", ".odt"),
        ("is a document with a layout, which is not read", _AS_TEXT),
    ),
    **dict.fromkeys(
        (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".alz", ".egg"),
        ("is an archive in what was brought, which is not read", "unpack it, and bring what is in it"),
    ),
    **dict.fromkeys(
        (".mp4", ".mov", ".avi"), ("is a film, which is not read", "bring single pictures of it")
    ),
    **dict.fromkeys((".svg", ".psd", ".ai", ".raw", ".dng"), ("is not read", "export it as PNG or JPEG")),
}
"""What is often brought and never read, by the end of its name."""
_BY_BEGINNING: Mapping[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("is a workbook or an archive under another name", _AS_CSV),
    b"\xd0\xcf\x11\xe0": ("is a workbook or document of an older Office under another name", _AS_CSV),
    b"%PDF": ("is a PDF under another name", _AS_TEXT),
    b"\xff\xfe": ("is text in UTF-16", "save it in UTF-8"),
    b"\xfe\xff": ("is text in UTF-16", "save it in UTF-8"),
}
_TEXTS = (".csv", ".tsv", ".txt", ".text", ".md", ".jsonl", ".ndjson")
_LOOKED_AT = 64 * 1024
"""Bytes of a text's beginning that tell its encoding."""


def unread_files(files: Mapping[str, Path]) -> Iterator[Problem]:
    """Yield the files, by their names, that are left out because nothing here reads such files."""
    for name in files:
        if known := _BY_SUFFIX.get(Path(name).suffix.lower()):
            yield Problem(what=known[0], do=known[1], file=shown(name))


def wrong_texts(files: Mapping[str, Path]) -> Iterator[Problem]:
    """Yield the files named as text that are none, or not in UTF-8."""
    for name, path in files.items():
        if Path(name).suffix.lower() in _TEXTS and (found := _look(path)):
            yield Problem(what=found[0], do=found[1], file=shown(name))


def own_files(folder: Path) -> dict[str, Path]:
    """Return the files below a folder by their names in it, sorted, or the one file; no hidden ones."""
    if folder.is_file():
        return {folder.name: folder}
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
    return {name: folder / name for name in names if not is_rubbish(name)}


def _look(path: Path) -> tuple[str, str] | None:
    """Return what is wrong with a text by its beginning, and what to do; None where nothing is."""
    with path.open("rb") as file:
        begin = file.read(_LOOKED_AT)
    for sign, known in _BY_BEGINNING.items():
        if begin.startswith(sign):
            return known
    if not _is_in(begin, "utf-8") and _is_in(begin, "cp949"):
        return "is in the encoding of Korean Windows (CP949)", "save it in UTF-8; in Excel as `CSV UTF-8`"
    return None


def _is_in(begin: bytes, encoding: str) -> bool:
    """Return whether text may begin so in an encoding; a character may be cut off at its end."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(begin)
    except UnicodeDecodeError:
        return False
    return True
