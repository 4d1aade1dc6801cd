"""The user's code as one archive: the script's folder, the same bytes for the same files."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks.problems import UserError

LIMIT_BYTES = 50 * 1024 * 1024
"""Most that the files may measure together, before compression: code is small, data belongs elsewhere."""
LEFT_OUT = ("__pycache__", "node_modules", "runs", "cdktf.out")


@dataclass(frozen=True)
class CodeArchive:
    """A packed folder."""

    body: bytes
    """gzipped tar."""
    sha256: str
    files: int


def pack(folder: Path) -> CodeArchive:
    """Pack the folder without hidden entries, virtual environments and the folders of LEFT_OUT.

    Raises UserError where something in it can't be read, and where the files are larger than LIMIT_BYTES
    together, naming the largest.
    """
    try:
        files = sorted(_files(folder))
    except PermissionError as error:
        raise UserError.of(
            f"{error.filename} can't be read, and it would travel with the script",
            "move the script into a folder of its own",
            path="SCRIPT",
        ) from error
    sizes = {file: file.stat().st_size for file in files}
    total = sum(sizes.values())
    if total > LIMIT_BYTES:
        largest = sorted(files, key=lambda file: -sizes[file])[:3]
        names = ", ".join(f"{file.relative_to(folder)} ({sizes[file] / 1e6:.1f} MB)" for file in largest)
        raise UserError.of(
            f"the folder {folder} holds {total / 1e6:.0f} MB, and at most {LIMIT_BYTES / 1e6:.0f} MB travel"
            f" with a script; the largest files are {names}",
            "move the script into a folder of its own, or the large files out of it",
            path="SCRIPT",
        )
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            _add(archive, file, file.relative_to(folder).as_posix())
    body = gzip.compress(tarred.getvalue(), compresslevel=6, mtime=0)
    return CodeArchive(body, hashlib.sha256(body).hexdigest(), len(files))


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that travel; links are not followed into other folders, linked files are copied."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith(".") or entry.name in LEFT_OUT or entry.name.endswith(".pyc"):
            continue
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if not (path / "pyvenv.cfg").exists():
                yield from _files(path)
        elif entry.is_file():
            yield path


def _add(archive: tarfile.TarFile, file: Path, name: str) -> None:
    data = file.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    # Neither owners nor times: the same files make the same digest on every machine.
    entry.mode = 0o755 if os.access(file, os.X_OK) else 0o644
    archive.addfile(entry, io.BytesIO(data))
