"""Watches for the notice that this spot instance is about to be taken away."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime

from trainer.launch.options import ENDPOINT_VARIABLE

_DEFAULT_ENDPOINT = "http://169.254.169.254"
POLL_SECONDS = 2.0
"""AWS recommends five seconds at most; what is lost here is lost before the job runs elsewhere."""
_TIMEOUT = 1.0
_TOKEN_SECONDS = 21600
_MARGIN_SECONDS = 10.0
"""Left between the ranks' deadline and the machine's end, for what must still be uploaded."""
LONGEST_SECONDS = 110.0


class SpotWatch:
    """Asks the instance metadata service (IMDSv2) for `spot/instance-action`."""

    def __init__(self, endpoint: str | None = None) -> None:
        given = endpoint or os.environ.get(ENDPOINT_VARIABLE) or _DEFAULT_ENDPOINT
        self._base = given.rstrip("/")
        self._token, self._token_until = "", 0.0
        # An instance's own metadata is never behind a proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def start(self, on_notice: Callable[[str, float], None], poll_seconds: float = POLL_SECONDS) -> None:
        """Look in a thread until there is a notice: then `on_notice(what, seconds left to stop in)`, once."""

        def watch() -> None:
            while (notice := self.notice()) is None:
                time.sleep(poll_seconds)
            on_notice(*notice)

        threading.Thread(target=watch, daemon=True, name="spot").start()

    def notice(self) -> tuple[str, float] | None:
        """Return the action and the seconds left to stop in; None while there is none, or nobody to ask."""
        try:
            found = json.loads(self._get("/latest/meta-data/spot/instance-action"))
            action, until = str(found["action"]), datetime.fromisoformat(str(found["time"]))
        except (OSError, ValueError, KeyError, TypeError):  # 404: no notice; no service: no instance
            return None
        left = (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        return action, max(1.0, min(LONGEST_SECONDS, left - _MARGIN_SECONDS))

    def _get(self, path: str) -> bytes:
        now = time.monotonic()
        if now > self._token_until:
            request = urllib.request.Request(  # noqa: S310
                f"{self._base}/latest/api/token",
                method="PUT",
                headers={"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)},
            )
            self._token = self._open(request).decode().strip()
            self._token_until = now + _TOKEN_SECONDS / 2
        headers = {"X-aws-ec2-metadata-token": self._token}
        request = urllib.request.Request(f"{self._base}{path}", headers=headers)  # noqa: S310
        try:
            return self._open(request)
        except urllib.error.HTTPError as error:
            if error.code == 401:  # the token is no longer taken
                self._token_until = 0.0
            raise

    def _open(self, request: urllib.request.Request) -> bytes:
        with self._opener.open(request, timeout=_TIMEOUT) as answer:
            data: bytes = answer.read(65536)
            return data
