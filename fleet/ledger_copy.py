"""A copy of the ledger, or of a part of it, that verifies itself: the form of exports and evidence packs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleet import chain, checkpoints
from fleet.copy_check import EXPORT_FILE

PROGRAM = "chain.py"
"""What is run; its modules lie in `fleet/` beside it."""
_MODULES = (
    "__init__.py", "chain.py", "checkpoint_check.py", "checkpoints.py", "copy_check.py", "signatures.py",
)  # fmt: skip
_HERE = Path(__file__).parent


def about_copy(bucket: str, report: chain.Report, after: str = chain.START) -> tuple[str, bytes]:
    """Return name and bytes of the file that says what the copy holds; `after` is the head before it."""
    first = int(after.partition(":")[0]) + 1
    about: dict[str, object] = {"bucket": bucket, "first": first}
    about |= {"last": int(report.head.partition(":")[0]), "head": report.head}
    if report.checkpoint:
        about["checkpoint"] = report.checkpoint
    if after != chain.START:
        about["after"] = after
    return EXPORT_FILE, (json.dumps(about, indent=2) + "\n").encode()


def verifier() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file of the program that verifies a copy with Python alone."""
    yield PROGRAM, (_HERE / "copy_program.py").read_bytes()
    for name in _MODULES:
        yield f"fleet/{name}", (_HERE / name).read_bytes()


def checkpoint_files(files: Mapping[str, bytes], key: bytes | None) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of the checkpoints in a copy, and of the key that signs them."""
    for name, data in files.items():
        if chain.is_entry_name(name):  # anything else is a finding already, and may be a path that leads away
            yield checkpoints.FOLDER + name, data
    if key is not None:
        yield checkpoints.KEY_FILE, key
