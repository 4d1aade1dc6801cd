"""An object store that takes in so many bytes a second: as much of S3 as saving a checkpoint needs.

It keeps what it is given in files and gives back the checksums that came along, so it costs the machine
next to nothing. That uploads are right is tested against a full emulation elsewhere; here only their time
counts.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from benchmarks.trainer.local_server import LocalServer

_PIECE = 1 << 18


class SlowStore(LocalServer):
    """The store while it is open, and the variables that lead a program to it."""

    def __init__(self, bytes_per_second: float) -> None:
        self.rate = bytes_per_second
        self.folder = Path(tempfile.mkdtemp(prefix="slow-store-"))
        self.checksums: dict[str, str] = {}
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        super().__init__(_handler(self))

    def take(self, size: int) -> None:
        """Wait until so many bytes have passed the one line that all requests share."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + size / self.rate
            wait = self._free_at - time.monotonic()
        if wait > 0:
            time.sleep(wait)

    def file(self, key: str) -> Path:
        """Return where a key's bytes lie."""
        return self.folder / quote(key, safe="")

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs in its environment to use the store."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __exit__(self, *failure: object) -> None:
        super().__exit__(*failure)
        shutil.rmtree(self.folder, ignore_errors=True)


def _handler(store: SlowStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            key, query = self._asked()
            part = query.get("partNumber")
            path = store.file(key if part is None else f"{key}#{int(part[0]):05d}")
            chunked = "aws-chunked" in self.headers.get("Content-Encoding", "")
            with path.open("wb") as file:
                if self.headers.get("Transfer-Encoding", "") == "chunked" or chunked:
                    self._read_chunks(file)
                else:
                    self._copy(int(self.headers.get("Content-Length", 0)), file)
            checksum = self.headers.get("x-amz-checksum-sha256")
            if checksum and part is None:
                store.checksums[key] = checksum
            self._answer(
                200, headers={"ETag": '"0"', **({"x-amz-checksum-sha256": checksum} if checksum else {})}
            )

        def do_POST(self) -> None:
            key, query = self._asked()
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "uploads" in query:
                self._answer(
                    200,
                    f"<InitiateMultipartUploadResult><UploadId>1</UploadId><Key>{escape(key)}</Key></InitiateMultipartUploadResult>",
                )
                return
            with store.file(key).open("wb") as whole:
                for part in sorted(store.folder.glob(f"{quote(key + '#', safe='')}*")):
                    whole.write(part.read_bytes())
                    part.unlink()
            self._answer(
                200,
                f'<CompleteMultipartUploadResult><Key>{escape(key)}</Key><ETag>"0"</ETag></CompleteMultipartUploadResult>',
            )

        def do_HEAD(self) -> None:
            path = store.file(self._asked()[0])
            if not path.is_file():
                self._answer(404)
                return
            checksum = store.checksums.get(self._asked()[0])
            extra = (
                {"x-amz-checksum-sha256": checksum, "x-amz-checksum-type": "FULL_OBJECT"} if checksum else {}
            )
            self._answer(200, size=path.stat().st_size, headers={"ETag": '"0"', **extra})

        def do_GET(self) -> None:
            key, query = self._asked()
            if "list-type" in query:
                self._answer(
                    200,
                    "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>",
                )
            elif store.file(key).is_file():
                self._answer(200, store.file(key).read_text(errors="replace"))
            else:
                self._answer(404, "<Error><Code>NoSuchKey</Code></Error>")

        def do_DELETE(self) -> None:
            store.file(self._asked()[0]).unlink(missing_ok=True)
            self._answer(204)

        def _asked(self) -> tuple[str, dict[str, list[str]]]:
            url = urlsplit(self.path)
            return url.path.lstrip("/"), parse_qs(url.query, keep_blank_values=True)

        def _copy(self, size: int, file: Any) -> None:
            while size > 0:
                piece = self.rfile.read(min(size, _PIECE))
                if not piece:
                    return
                store.take(len(piece))
                file.write(piece)
                size -= len(piece)

        def _read_chunks(self, file: Any) -> None:
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                self._copy(size, file)
                self.rfile.readline()
            while self.rfile.readline().strip():  # the trailer
                pass

        def _answer(
            self, status: int, body: str = "", size: int | None = None, headers: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode()) if size is None else size))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
