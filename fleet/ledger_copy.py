"""A copy of the ledger, or of a part of it, that verifies itself: the form of exports and evidence packs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleet import chain

VERIFIER = "chain.py"


def about_copy(bucket: str, report: chain.Report, after: str = chain.START) -> tuple[str, bytes]:
    """Return name and bytes of the file that says what the copy holds; `after` is the head before it."""
    first = int(after.partition(":")[0]) + 1
    about: dict[str, object] = {"bucket": bucket, "first": first}
    about |= {"last": int(report.head.partition(":")[0]), "head": report.head}
    if after != chain.START:
        about["after"] = after
    return chain.EXPORT_FILE, (json.dumps(about, indent=2) + "\n").encode()


def verifier() -> tuple[str, bytes]:
    """Return name and bytes of the program that verifies a copy with Python alone."""
    return VERIFIER, Path(chain.__file__).read_bytes()


def copy_files(bucket: str, files: Mapping[str, bytes], report: chain.Report) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the bytes of every file of a copy of the whole chain."""
    for name, data in files.items():
        yield f"ledger/{name}", data
    yield about_copy(bucket, report)
    yield verifier()
