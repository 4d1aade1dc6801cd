"""The node bundle: what fleetform puts on a machine, one archive, the same whenever its files are."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from templates.engine import render
from templates.node_files import NodeCommand
from templates.slurm_files import (
    BOOT_UNIT,
    HEAD_UNITS,
    METADATA_RULES,
    NODE_UNITS,
    PROGRAMS,
    AwaitNodes,
    JobScript,
)

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
"""The folder that the rooms lie in, in a checkout as in an installation."""
ROOMS = ("node", "trainer")
"""The rooms that travel to the machines."""
SUFFIXES = frozenset({".py", ".toml", ".md"})
"""Files that the rooms are made of; nothing that was built from them travels."""
COMMAND = "bin/fleetform-node"
UNITS, RULES = "units", "rules"
"""Folders of the services of a machine of a cluster, and of the rules of its network."""


@dataclass(frozen=True)
class Bundle:
    """A node bundle: a gzipped tar."""

    data: bytes
    sha256: str
    """Of the tar inside, lowercase hexadecimal: the compressed bytes may differ between releases of zlib."""

    @property
    def key(self) -> str:
        """Key of the bundle in the artifact bucket; other contents, another key."""
        return f"node/{self.sha256}/bundle.tar.gz"


def build_bundle(root: Path = PACKAGE_ROOT) -> Bundle:
    """Pack the rooms below `root`, programs and services. Equal files give equal bytes, whenever."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data, mode in sorted(_members(root)):
            member = tarfile.TarInfo(name)  # owner root, time 0
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
    digest = hashlib.sha256(archive.getvalue()).hexdigest()
    return Bundle(gzip.compress(archive.getvalue(), mtime=0), digest)


def rendered_members() -> Iterator[tuple[str, bytes, int]]:
    """Return path, contents and permissions of what the bundle has of templates: programs and services."""
    yield COMMAND, render(NodeCommand()).encode(), 0o755
    yield "bin/job", render(JobScript()).encode(), 0o755
    yield "bin/await-nodes", render(AwaitNodes()).encode(), 0o755
    for name, program in PROGRAMS.items():
        yield f"bin/{name}", render(program).encode(), 0o755
    for unit in {each.name: each for each in (BOOT_UNIT, *HEAD_UNITS, *NODE_UNITS)}.values():
        yield f"{UNITS}/{unit.name}.service", render(unit).encode(), 0o644
    for name, rule in METADATA_RULES.items():
        yield f"{RULES}/{name}", render(rule).encode(), 0o644


def _members(root: Path) -> Iterator[tuple[str, bytes, int]]:
    """Return path, contents and permissions of everything in the bundle."""
    yield from rendered_members()
    for room in ROOMS:
        for file in (root / room).rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(root).parts)
            if file.suffix in SUFFIXES and file.is_file() and not hidden:
                yield file.relative_to(root).as_posix(), file.read_bytes(), 0o644
