"""Unpacks an archive that somebody brings: whole, within limits, and never beside the folder it is for."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.file_names import first_of, is_rubbish, name_problems, plain_name, shown
from stacks.problems import Problem, UserError

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED, _NAMES_ARE_UTF8 = 0x1, 0x800
_END, _LONGEST_COMMENT = struct.Struct("<4s4H2LH"), 2**16
_END_SIGN, _LARGE_SIGN, _LARGE_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
_LISTED_BYTES = 46 + 2 * 1024
"""What lists one file at most: its head, its name and what some programs note beside it."""
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    struct.error,
)
"""What Python's zipfile makes of archives that are none, or no longer one."""


@dataclass(frozen=True)
class UnpackLimits:
    """How much an archive may come to."""

    files: int = 20_000
    bytes: int = 2 * 2**30
    ratio: int = 200
    """How much larger all of it may get: pictures hardly do, tables ten times, a bomb a thousand."""


@dataclass(frozen=True)
class _Wanted:
    name: str
    entry: zipfile.ZipInfo


def unpack(archive: Path, folder: Path, limits: UnpackLimits | None = None) -> int:
    """Unpack a zip into the folder, which must not be there yet, and return how many files that are.

    Raises UserError with all that is wrong with the archive; then there is no folder. Of what systems put
    into archives beside people's files, nothing is unpacked.
    """
    assert not folder.exists(), "it is unpacked into a folder of its own"
    limits = limits or UnpackLimits()
    _require_short_list(archive, limits)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            wanted = _wanted(opened)
            if problems := first_of(_problems(wanted, archive.stat().st_size, limits)):
                raise UserError(problems)
            partial.mkdir(parents=True)
            for each in wanted:
                _write(opened, each, partial / each.name)
        partial.rename(folder)
    except _DAMAGE as error:
        raise _damaged(archive, str(error)) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that is none, to the file that it is read from
            raise
        raise _damaged(archive, "it points beyond itself") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(wanted)


def _damaged(archive: Path, why: str) -> UserError:
    return UserError.of(f"is damaged, or no zip: {why}", "pack it again", file=shown(archive.name))


def _require_short_list(archive: Path, limits: UnpackLimits) -> None:
    """Raise UserError where the archive lists more than may be in it: reading that list takes the memory."""
    with archive.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END.size - _LONGEST_COMMENT - _LARGE_BYTES))
        tail = file.read()
    at = tail.rfind(_END_SIGN)
    if at < 0 or len(tail) - at < _END.size:
        raise _damaged(archive, "it has no list of its files")
    _, _, _, _, files, list_bytes, _, _ = _END.unpack_from(tail, at)
    large = tail[max(0, at - _LARGE_BYTES) :].startswith(_LARGE_SIGN)  # zip64: then these say nothing
    if large or files > 2 * limits.files or list_bytes > limits.files * _LISTED_BYTES:
        what = f"lists more than the {limits.files:,} files, or is larger than the 4 GB, that it may have"
        raise UserError.of(what, "bring less of it, or several", file=shown(archive.name))


def _wanted(opened: zipfile.ZipFile) -> list[_Wanted]:
    """Return the files of the archive that are the person's own."""
    named = (_Wanted(_name(entry), entry) for entry in opened.infolist())
    return [each for each in named if not each.name.endswith("/") and not is_rubbish(each.name)]


def _name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's name; without a mark that it is UTF-8 it is that, or Korean Windows' own encoding."""
    if entry.flag_bits & _NAMES_ARE_UTF8:
        return plain_name(entry.filename)
    raw = entry.filename.encode("cp437", errors="replace")
    for encoding in ("utf-8", "cp949"):
        try:
            return plain_name(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return plain_name(entry.filename)


def _problems(wanted: Sequence[_Wanted], size: int, limits: UnpackLimits) -> Iterator[Problem]:
    """Yield what is wrong with the archive, before anything of it is unpacked; `size` is its own, bytes."""
    total = sum(each.entry.file_size for each in wanted)
    packed = sum(each.entry.compress_size for each in wanted)
    less = "bring less of it, or several"
    if not wanted:
        yield Problem(what="the archive has no files", do="pack the folder with your files again")
    if len(wanted) > limits.files:
        yield Problem(what=f"it has {len(wanted):,} files, and {limits.files:,} may be in it", do=less)
    if total > limits.bytes:
        what = f"unpacked it has {total / 1e6:,.0f} MB, and {limits.bytes / 1e6:,.0f} MB may be in it"
        yield Problem(what=what, do=less)
    if packed > size or total > limits.ratio * size:
        yield Problem(what="it unpacks to more than an honest archive does", do="bring the files themselves")
    yield from name_problems([each.name for each in wanted])
    for each in wanted:
        if what := _fault(each.entry):
            yield Problem(what=what, do="pack the files as a plain zip", file=shown(each.name))


def _fault(entry: zipfile.ZipInfo) -> str:
    """Return what keeps one entry from being unpacked, "" where nothing does."""
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link, or no file"
    if entry.flag_bits & _ENCRYPTED:
        return "is locked by a password"
    return "" if entry.compress_type in _METHODS else "is packed in a way that is not known"


def _write(opened: zipfile.ZipFile, wanted: _Wanted, path: Path) -> None:
    """Unpack one file; of more than its entry says, nothing is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(wanted.entry) as packed, path.open("xb") as file:
        shutil.copyfileobj(packed, file, 2**20)
