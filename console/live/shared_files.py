"""One run's files, fetched once for all who watch it, wherever each of them stands."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from fleet.run_store import RunStore

LOOK_SECONDS = 0.5
"""How old a file may be that a watcher is shown."""
_PIECES, _PIECE_BYTES = 64, 64 * 1024
"""How many pieces of logs are kept for those who come after, and how large ones."""


class SharedFiles:
    """What `fleet.tail` asks a store for, answered from one look that all share."""

    def __init__(self, store: RunStore) -> None:
        """Fetch nothing yet."""
        self._store = store
        self._lock = threading.Lock()
        self._files: dict[str, tuple[float, bytes, str]] = {}
        self._sizes: tuple[float, dict[str, int]] | None = None
        self._pieces: OrderedDict[tuple[str, int, int | None, int], bytes] = OrderedDict()

    def changed(self, run_id: str, name: str, etag: str = "", start: int = 0) -> tuple[bytes, str] | None:
        """Answer as `RunStore.changed` does."""
        with self._lock:
            at, body, known = self._files.get(name, (float("-inf"), b"", ""))
            if time.monotonic() - at > LOOK_SECONDS:
                found = self._store.changed(run_id, name, known)
                body, known = found or (body, known)
                self._files[name] = (time.monotonic(), body, known)
        if not known or known == etag:
            return None
        return (body[start:], known) if len(body) > start or not start else (b"", "")

    def sizes(self, run_id: str, prefix: str = "") -> dict[str, int]:
        """Answer as `RunStore.sizes` does."""
        folder = f"{prefix.partition('/')[0]}/"
        with self._lock:
            if self._sizes is None or time.monotonic() - self._sizes[0] > LOOK_SECONDS:
                self._sizes = (time.monotonic(), self._store.sizes(run_id, folder))
            return {name: size for name, size in self._sizes[1].items() if name.startswith(prefix)}

    def get_from(self, run_id: str, name: str, offset: int, most: int | None = None) -> bytes:
        """Answer as `RunStore.get_from` does."""
        with self._lock:
            size = self._sizes[1].get(name, 0) if self._sizes else 0
            key = (name, offset, most, size)
            piece = self._pieces.get(key)
            if piece is None:
                piece = self._store.get_from(run_id, name, offset, most)
                if len(piece) <= _PIECE_BYTES:
                    self._pieces[key] = piece
                if len(self._pieces) > _PIECES:
                    self._pieces.popitem(last=False)
            return piece
