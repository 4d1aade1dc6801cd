"""Signing in at a company's identity provider: OpenID Connect, code flow with PKCE. The one door to Authlib.

Read of a provider is what its discovery document says (OpenID Connect Discovery 1.0), believed only where it
names the issuer that was set. The ID token is verified as OpenID Connect Core 1.0, 3.1.3.7 asks: signature,
issuer, audience, times, nonce.
"""

from __future__ import annotations

import base64
import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from console.people.tokens import new_secret
from fleet.errors import ActError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key that the provider alone has; `none` and those by a shared secret are not among them."""
SCOPE = "openid profile"
_LEEWAY_SECONDS = 60
_ANSWER_SECONDS, _LONGEST_ANSWER = 10, 1 << 20


class OidcError(ActError):
    """The identity provider does not answer, or with something that proves nobody."""


@dataclass(frozen=True, kw_only=True)
class OidcSettings:
    """A provider, and as whom the console is known to it."""

    issuer: str
    client_id: str
    client_secret: str
    """"" for a client without one; it then rests on PKCE alone."""


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A sign-in that has been begun."""

    url: str
    """Where the browser goes."""
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Whom the provider vouches for."""

    issuer: str
    subject: str
    name: str
    authenticated_at: datetime.datetime | None
    """When they last proved it there, None where the provider does not say."""


class Provider:
    """The identity provider of one console."""

    def __init__(self, settings: OidcSettings, redirect_uri: str) -> None:
        """Contact nothing yet; `redirect_uri` is where the provider sends browsers back to."""
        self.settings, self.redirect_uri = settings, redirect_uri
        self._metadata: Mapping[str, Any] = {}
        self._keys: KeySet | None = None

    def discover(self) -> None:
        """Ask the provider where its endpoints are; raises OidcError where it does not say."""
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            self._endpoint(name)

    def begin(self, state: str, *, again: bool) -> Begun:
        """Return where to send a browser; `again` asks for a proof even of who is signed in there."""
        nonce, verifier = new_secret(), new_secret()
        client = OAuth2Client(
            None,
            client_id=self.settings.client_id,
            redirect_uri=self.redirect_uri,
            scope=SCOPE,
            code_challenge_method="S256",
        )
        more = {"prompt": "login", "max_age": "0"} if again else {}
        url, _ = client.create_authorization_url(
            self._endpoint("authorization_endpoint"), state, verifier, nonce=nonce, **more
        )
        return Begun(url=url, state=state, nonce=nonce, verifier=verifier)

    def finish(self, code: str, nonce: str, verifier: str) -> Identity:
        """Exchange the code for an ID token, and return whom it vouches for."""
        answer = self._exchange(code, verifier)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OidcError("the identity provider answered without an ID token")
        claims = self._verified(token, nonce, str(answer.get("access_token", "")))
        at = claims.get("auth_time")
        return Identity(
            issuer=self.settings.issuer,
            subject=claims["sub"],
            name=_name(claims),
            authenticated_at=datetime.datetime.fromtimestamp(at, datetime.UTC) if at else None,
        )

    def _verified(self, token: str, nonce: str, access_token: str) -> CodeIDToken:
        """Return the claims of an ID token that proves somebody; raises OidcError for any other."""
        registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        try:
            try:
                found = jwt.decode(token, self._key_set(), registry=registry)
            except (JoseError, ValueError):  # the provider may have changed its keys since
                found = jwt.decode(token, self._key_set(anew=True), registry=registry)
            options = {
                "iss": {"essential": True, "value": self.settings.issuer},
                "aud": {"essential": True, "value": self.settings.client_id},
            }
            params = {
                "nonce": nonce,
                "client_id": self.settings.client_id,
                "access_token": access_token,
            }
            claims = CodeIDToken(found.claims, found.header, options, params)
            claims.validate(leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise OidcError(f"the ID token proves nobody: {type(error).__name__}: {error}") from error
        if not claims["sub"] or len(claims["sub"]) > 255:
            raise OidcError("the ID token names nobody")
        return claims

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.settings.client_id,
            "code_verifier": verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.settings.client_secret:  # RFC 6749, 2.3.1: each part is encoded as a form has it
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(self.settings.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return _fetch(self._endpoint("token_endpoint"), urlencode(form).encode(), headers)

    def _endpoint(self, name: str) -> str:
        """Return one of the provider's URLs; discovery is asked once."""
        if not self._metadata:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = _fetch(url)
            if found.get("issuer") != self.settings.issuer:
                raise OidcError(f"{url} tells of another issuer, {found.get('issuer')!r}")
            self._metadata = found
        endpoint = self._metadata.get(name)
        if not isinstance(endpoint, str) or not is_safe_url(endpoint):
            raise OidcError(f"the identity provider has no safe {name}")
        return endpoint

    def _key_set(self, *, anew: bool = False) -> KeySet:
        if self._keys is None or anew:
            found: Any = _fetch(self._endpoint("jwks_uri"))
            self._keys = KeySet.import_key_set(found)
        return self._keys


def is_safe_url(url: str) -> bool:
    """Return whether what goes there stays secret: over TLS, or to this machine alone."""
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and local))


def _name(claims: Mapping[str, Any]) -> str:
    """Return what to call the person; the key by which they are known is another thing."""
    wanted = (claims.get(each) for each in ("name", "preferred_username", "sub"))
    name = next(each for each in wanted if isinstance(each, str) and each.strip())
    return "".join(letter for letter in name if letter.isprintable()).strip()[:200] or "?"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a code or a secret goes to the endpoint that was named, or nowhere."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def _fetch(url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object that a URL answers with; raises OidcError, which tells no secret."""
    where = f"{urlsplit(url).hostname}{urlsplit(url).path}"
    accept = {"Accept": "application/json"}
    request = urllib.request.Request(url, body, {**accept, **(headers or {})})  # noqa: S310
    try:
        with _OPENER.open(request, timeout=_ANSWER_SECONDS) as answer:
            found = json.loads(answer.read(_LONGEST_ANSWER))
    except (OSError, ValueError) as error:
        said = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise OidcError(f"the identity provider does not answer as it should: {where}: {said}") from None
    if not isinstance(found, dict):
        raise OidcError(f"the identity provider does not answer as it should: {where}: no object")
    return found
