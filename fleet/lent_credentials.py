"""A role's credentials that are renewed for as long as this process lives, for it and for what it starts.

They are handed out on this machine's own loopback address by the way that every AWS SDK knows from containers
(`AWS_CONTAINER_CREDENTIALS_FULL_URI` with a token), Terraform's provider and backend too. The SDKs ask again
before the old ones end, so what takes hours goes on. A terraform that outlives its act has what it was last
given, for the rest of that hour.
"""

from __future__ import annotations

import datetime
import hmac
import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fleet.cloud import FULL_URI

TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - the variable's name
_TAKEN_OUT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""Variables by which an SDK would find other credentials first."""
_EMPTY = Path(__file__).with_name("no_profile.toml")
"""An AWS configuration with nothing in it; keys in the user's own files would be found first."""
_RENEWED_BEFORE = datetime.timedelta(minutes=20)
"""How long before their end credentials are replaced; SDKs ask 5 to 15 minutes before it."""
_HOST, _PATH = "127.0.0.1", "/credentials"
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Keys:
    """Credentials with an end."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: datetime.datetime
    """Aware."""

    def to_json(self) -> bytes:
        """Return them as the SDKs want them of a container's endpoint."""
        said = {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key,
            "Token": self.session_token,
            "Expiration": f"{self.expires.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        return json.dumps(said).encode()


class Lender:
    """Keys that are taken on anew before they end."""

    def __init__(self, take_on: Callable[[], Keys]) -> None:
        """Take them on for the first time; raises what `take_on` does."""
        self._take_on, self._lock, self._keys = take_on, threading.Lock(), take_on()

    def keys(self) -> Keys:
        """Return keys that are good; where they can't be had anew, the old ones to their end."""
        with self._lock:
            now = datetime.datetime.now(datetime.UTC)
            if self._keys.expires - now < _RENEWED_BEFORE:
                try:
                    self._keys = self._take_on()
                except Exception:
                    if self._keys.expires <= now:
                        raise
            return self._keys


def lend(take_on: Callable[[], Keys]) -> Mapping[str, str]:
    """Lend the keys for as long as this process lives; return the variables by which SDKs find them.

    A variable of "" is one that must not be there (`Cloud.process_environment`). Raises what `take_on` does.
    """
    lender, token = Lender(take_on), secrets.token_urlsafe(32)
    server = ThreadingHTTPServer((_HOST, 0), _handler(lender, token))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="lent credentials", daemon=True).start()
    return {
        **dict.fromkeys(_TAKEN_OUT, ""),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_CONFIG_FILE": str(_EMPTY),
        FULL_URI: f"http://{_HOST}:{server.server_port}{_PATH}",
        TOKEN: token,
    }


def _handler(lender: Lender, token: str) -> type[BaseHTTPRequestHandler]:
    """Return what answers whoever has the token."""

    class Handler(BaseHTTPRequestHandler):
        """One request."""

        timeout = _REQUEST_SECONDS

        def do_GET(self) -> None:
            """Hand the keys out."""
            shown = self.headers.get("Authorization", "")
            if self.path != _PATH or not hmac.compare_digest(shown.encode(), token.encode()):
                self._answer(403, b'{"message": "this is not for you"}')
                return
            try:
                self._answer(200, lender.keys().to_json())
            except Exception as error:  # the SDK that asks tries again, and then says this
                self._answer(503, json.dumps({"message": str(error)}).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a request is no news."""

    return Handler
