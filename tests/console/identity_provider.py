"""A small OpenID provider for tests: it lets everybody in as whom it is told to, and can be made to lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "fleetform console", "not:so/secret+"


@dataclass
class IdentityProvider:
    """What it says, and what it was asked."""

    url: str = ""
    subject: str = "u-1"
    name: str = "Ann Lee"
    lies: dict[str, Any] = field(default_factory=dict)
    """Claims that are said instead of the true ones; None leaves one out."""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    signing: Any = None
    """The key that is really signed with, None for `key`."""
    algorithm: str = "RS256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """The queries of browsers that were sent here."""

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser goes with its code."""
        self.asked.append(query)
        code = f"code-{len(self.asked)}"
        self.codes[code] = query
        answer = {"code": code, "state": query["state"], "iss": self.url}
        return f"{query['redirect_uri']}?{urlencode(answer)}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Return the answer to a code: once, to the client that it was for, with the right verifier."""
        begun = self.codes.pop(form.get("code", ""), None)
        proof = _base64(hashlib.sha256(form["code_verifier"].encode()).digest())
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        known = pair == f"{urlencode({'': CLIENT_ID})[1:]}:{urlencode({'': CLIENT_SECRET})[1:]}"
        if begun is None or not known or proof != begun["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        if form["redirect_uri"] != begun["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.token(begun)}

    def token(self, begun: dict[str, str]) -> str:
        """Return an ID token."""
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": self.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 300,
            "nonce": begun["nonce"], "name": self.name, "auth_time": now, **self.lies,
        }  # fmt: skip
        said = {key: value for key, value in claims.items() if value is not None}
        return self._signed(said)

    def _signed(self, claims: dict[str, Any]) -> str:
        """Return a token that is signed as `algorithm` says: by the key, by what everybody knows, or not."""
        if self.algorithm == "RS256":
            return jwt.encode({"alg": "RS256", "kid": "1"}, claims, self.signing or self.key)
        header = {"alg": self.algorithm, "kid": "1"}
        parts = ".".join(_base64(json.dumps(each).encode()) for each in (header, claims))
        secret = self.key.as_pem(private=False)
        mac = hmac.digest(secret, parts.encode(), "sha256") if self.algorithm == "HS256" else b""
        return f"{parts}.{_base64(mac)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def provider() -> Iterator[IdentityProvider]:
    """Serve a provider on this machine."""
    said = IdentityProvider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(303)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                self.send_header("Location", said.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif parts.path == "/keys":
                self._answer(200, {"keys": [said.key.as_dict(private=False)]})
            else:
                endpoints = {"authorization": "authorize", "token": "token"}
                found = {f"{name}_endpoint": f"{said.url}/{path}" for name, path in endpoints.items()}
                self._answer(200, {"issuer": said.url, "jwks_uri": f"{said.url}/keys", **found})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {key: values[0] for key, values in parse_qs(body).items()}
            self._answer(*said.exchange(form, self.headers.get("Authorization", "")))

        def _answer(self, status: int, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    said.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()
