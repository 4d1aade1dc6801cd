"""The files that a path names: one file, all below a folder, or all below s3://bucket/prefix."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.data import s3
from trainer.data.errors import DatasetError, FileError
from trainer.data.quarantine import Quarantine


@dataclass(frozen=True)
class Place:
    """One file of the user's data."""

    name: str
    """Its path below what was named, with forward slashes; the file's own name where it was named itself."""
    where: str
    """Its path on this machine, or s3://bucket/key."""
    size: int
    """Bytes."""
    stamp: str
    """What changes when its content does: the time of its last change, or S3's ETag."""

    def read(self) -> bytes:
        """Return what is in it."""
        if self.where.startswith(s3.SCHEME):
            return s3.read_object(self.where)
        return Path(self.where).read_bytes()


def list_places(path: str, suffixes: Sequence[str]) -> list[Place]:
    """Return the files with one of those suffixes (lower case), by name; hidden ones are left out.

    Raises DatasetError where the path does not exist or has no such file.
    """
    places = _list_s3(path) if path.startswith(s3.SCHEME) else _list_local(Path(path).expanduser())
    found = [place for place in places if Path(place.where).suffix.lower() in suffixes]
    if not found:
        raise DatasetError(f"data.path: {path} has no file that ends in {', '.join(suffixes)}")
    return sorted(found, key=lambda place: place.name)


def fingerprint(places: Sequence[Place]) -> str:
    """Return a digest of the files' names, sizes and stamps."""
    lines = "".join(f"{place.name}\0{place.size}\0{place.stamp}\n" for place in places)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


@contextmanager
def on_this_machine(places: Sequence[Place], quarantine: Quarantine) -> Iterator[list[tuple[str, Path]]]:
    """Give the files' names and paths on this machine; those of S3 in a folder that goes away.

    What cannot be fetched is quarantined and left out.
    """
    if not any(place.where.startswith(s3.SCHEME) for place in places):
        yield [(place.name, Path(place.where)) for place in places]
        return
    with tempfile.TemporaryDirectory(prefix="fleetform-data-") as folder:
        fetched = []
        for number, place in enumerate(places):
            path = Path(folder) / f"{number}{Path(place.name).suffix.lower()}"
            try:
                s3.download_object(place.where, path)
            except FileError as error:
                quarantine.lose(place.name, str(error), place.size)
                continue
            fetched.append((place.name, path))
        yield fetched


def _list_local(path: Path) -> Iterator[Place]:
    if path.is_file():
        yield _local(path, path.name)
    elif not path.is_dir():
        raise DatasetError(f"data.path: {path} does not exist on this machine")
    walked: set[str] = set()
    for folder, subfolders, names in os.walk(path, followlinks=True):
        # A link that leads back up would be followed for ever.
        if (real := os.path.realpath(folder)) in walked:
            subfolders.clear()
            continue
        walked.add(real)
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            file = Path(folder) / name
            if not name.startswith(".") and file.is_file():
                yield _local(file, file.relative_to(path).as_posix())


def _local(file: Path, name: str) -> Place:
    about = file.stat()
    return Place(name, str(file), about.st_size, str(about.st_mtime_ns))


def _list_s3(url: str) -> Iterator[Place]:
    prefix = url.rstrip("/") + "/"
    for found in s3.list_objects(url):
        name = found.url.removeprefix(prefix) if found.url != url else url.rpartition("/")[2]
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and not name.endswith("/"):
            yield Place(name, found.url, found.size, found.etag)
