"""A run's logs as they lie in the bucket: one object each, and parts that are not yet joined to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fleet import aws
from fleet.run_store import MISSING

LOGS = "logs/"
_LOG = re.compile(r"logs/node-(\d+)\.log(?:\.part-(\d+))?")


class RunFiles(Protocol):
    """What reading along takes of a RunStore."""

    def changed(self, run_id: str, name: str, etag: str = "", start: int = 0) -> tuple[bytes, str] | None:
        """Return a file where it is another one than that of the ETag."""

    def sizes(self, run_id: str, prefix: str = "") -> dict[str, int]:
        """Return the size of each object whose name starts so."""

    def get_from(self, run_id: str, name: str, offset: int, most: int | None = None) -> bytes:
        """Return what a file has from an offset on."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a log that is one object."""

    name: str
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + self.size


def is_part(name: str) -> bool:
    """Return whether a file of the run directory is a part of a log (node/log_stream.py)."""
    found = _LOG.fullmatch(name)
    return found is not None and found[2] is not None


def log_pieces(sizes: Mapping[str, int]) -> dict[int, list[Piece]]:
    """Return the pieces of each node's log, by its rank; `sizes` are those of the run's `logs/`."""
    found: dict[int, list[Piece]] = {}
    for name, size in sizes.items():
        match = _LOG.fullmatch(name)
        if match is not None and size:
            found.setdefault(int(match[1]), []).append(Piece(name, int(match[2] or 0), size))
    return dict(sorted(found.items()))


def piece_at(pieces: list[Piece], offset: int) -> Piece | None:
    """Return the piece that has the byte at `offset` and reaches farthest, or None where none has it."""
    holding = [piece for piece in pieces if piece.start <= offset < piece.end]
    return max(holding, key=lambda piece: piece.end, default=None)


def extent(pieces: list[Piece]) -> int:
    """Return how many bytes of the log there are without a gap."""
    end = 0
    while (piece := piece_at(pieces, end)) is not None:
        end = piece.end
    return end


def read_from(
    store: RunFiles, run_id: str, pieces: list[Piece], offset: int, most: int | None = None
) -> bytes:
    """Return what a log has from `offset` on, as far as the pieces reach, or so many bytes of it.

    Parts are joined and removed while we read: then it ends there, and the next look finds the rest.
    """
    body = b""
    while (piece := piece_at(pieces, offset + len(body))) is not None and (most is None or len(body) < most):
        rest = None if most is None else most - len(body)
        try:
            found = store.get_from(run_id, piece.name, offset + len(body) - piece.start, rest)
        except Exception as error:
            if aws.error_code(error) not in MISSING:
                raise
            break
        body += found
    return body
