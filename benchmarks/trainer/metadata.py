"""An instance metadata service that gives spot notice when told to: as much as the launcher asks of EC2's."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler

from benchmarks.trainer.local_server import LocalServer

_LEAD_SECONDS = 120
"""Seconds between EC2's notice and the end of the instance."""


class Metadata(LocalServer):
    """The service while it is open."""

    def __init__(self) -> None:
        self.notice: str | None = None
        super().__init__(_handler(self))

    def interrupt(self) -> None:
        """Give notice from now on."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + _LEAD_SECONDS))
        self.notice = json.dumps({"action": "terminate", "time": when})

    @property
    def variables(self) -> dict[str, str]:
        """What leads a program to the service."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.url}/"}


def _handler(service: Metadata) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._answer(200, "token")

        def do_GET(self) -> None:
            asked_for_notice = self.path.endswith("spot/instance-action")
            if self.headers.get("X-aws-ec2-metadata-token") != "token":
                self._answer(401, "")
            elif asked_for_notice and service.notice is not None:
                self._answer(200, service.notice)
            else:
                self._answer(404, "")

        def _answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    return Handler
