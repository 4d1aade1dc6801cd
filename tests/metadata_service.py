"""An instance metadata service of version 2 for tests, whose values can be set and tokens forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class MetadataService:
    """A running service."""

    def __init__(self) -> None:
        self.values = {"instance-id": "i-1", "local-ipv4": "127.0.0.1"}
        self.tokens = 0
        self._valid: set[str] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                service.tokens += 1
                service._valid.add(f"token-{service.tokens}")
                self._answer(200, f"token-{service.tokens}")

            def do_GET(self) -> None:
                if self.headers.get("X-aws-ec2-metadata-token") not in service._valid:
                    self._answer(401, "")
                    return
                value = service.values.get(self.path.removeprefix("/latest/meta-data/"))
                self._answer(404 if value is None else 200, value or "")

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What makes programs ask this service."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}"}

    def forget_tokens(self) -> None:
        """Take none of the tokens given so far."""
        self._valid.clear()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def metadata_service() -> Iterator[MetadataService]:
    """A service of this test's own."""
    service = MetadataService()
    yield service
    service.close()
