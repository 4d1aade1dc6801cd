"""The reaper's program as Lambda takes it: one archive, the same bytes whenever its files are the same."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from stacks.bundle import PACKAGE_ROOT

ARCHIVE_FILE = "reaper.zip"
"""Where the archive lies in the account stack's own folder, for Terraform to upload."""
HANDLER = "reaper.handler.handle"
MEMBERS = tuple(
    f"fleet/{name}.py" for name in ("__init__", "chain", "checkpoint_check", "checkpoints", "signatures")
)
"""What the reaper takes along beside its own room: the form of the ledger's entries and checkpoints."""


def build_reaper_archive(root: Path = PACKAGE_ROOT) -> bytes:
    """Pack the room and its members. Nothing is compressed: that would differ between releases of zlib."""
    names = [f"reaper/{file.name}" for file in (root / "reaper").glob("*.py")]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name in sorted([*names, *MEMBERS]):
            member = zipfile.ZipInfo(name)  # dated 1980
            member.create_system, member.external_attr = 3, 0o100644 << 16  # Unix, readable to Lambda's user
            packed.writestr(member, (root / name).read_bytes())
    return archive.getvalue()
