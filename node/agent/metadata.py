"""The instance metadata service, version 2, asked often: the token is kept.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

_ENDPOINT = "http://169.254.169.254"
_TIMEOUT = 2.0
_TOKEN_SECONDS = 21600


class Metadata:
    """What EC2 tells this instance about itself."""

    def __init__(self, environment: Mapping[str, str] = os.environ, timeout: float = _TIMEOUT) -> None:
        """`timeout`: seconds for one answer."""
        given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _ENDPOINT
        self._base = given.rstrip("/")
        self._timeout = timeout
        self._token, self._token_until = "", 0.0
        # An instance's own metadata is never behind a proxy.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str) -> str | None:
        """Return a value (`instance-id`), None where there is none now; OSError where nobody answers."""
        if time.monotonic() > self._token_until:
            self._renew()
        headers = {"X-aws-ec2-metadata-token": self._token}
        request = urllib.request.Request(f"{self._base}/latest/meta-data/{path}", headers=headers)  # noqa: S310
        try:
            return self._open(request)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                if error.code == 401:  # the token is no longer taken
                    self._token_until = 0.0
            raise

    def _renew(self) -> None:
        request = urllib.request.Request(  # noqa: S310
            f"{self._base}/latest/api/token",
            method="PUT",
            headers={"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)},
        )
        self._token = self._open(request).strip()
        self._token_until = time.monotonic() + _TOKEN_SECONDS / 2

    def _open(self, request: urllib.request.Request) -> str:
        with self._opener.open(request, timeout=self._timeout) as answer:
            return str(answer.read(65536).decode())
