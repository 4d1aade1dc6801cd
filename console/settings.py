"""What a console is started with: its project and cloud, where it listens, where it keeps people."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from console.people.oidc import OidcSettings as OidcSettings  # what starts a console sees this module alone
from console.people.oidc import is_safe_url
from console.people.sessions import Limits
from console.store.database import sqlite_url
from fleet.project import Project
from stacks.problems import Problem, UserError

PORT = 8765
DATA = "console-data"
"""Folder in the project for what the console keeps and nothing can make again: people, uploads under way."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A console's settings, checked."""

    project: Project
    cloud: str | None
    """The cloud by name, None for the project's choice."""
    host: str
    port: int
    public_url: str
    """What browsers call it by, without a slash at its end."""
    database_url: str
    limits: Limits = field(default_factory=Limits)
    oidc: OidcSettings | None = None
    """The company's identity provider; local accounts are the way in without one, and beside it."""

    @property
    def data(self) -> Path:
        """The folder of what the console keeps."""
        return self.project.root / DATA

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS; else it is this machine's alone."""
        return self.public_url.startswith("https://")

    @property
    def public_host(self) -> str:
        """The host, with its port where it is not the usual one, that requests must name."""
        return urlsplit(self.public_url).netloc


def choose_settings(
    project: Project,
    *,
    cloud: str | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    public_url: str = "",
    database_url: str = "",
    oidc: OidcSettings | None = None,
) -> Settings:
    """Return the settings; raises UserError with all that is wrong with them."""
    shown = f"[{host}]" if ":" in host else host
    url = (public_url or f"http://{shown}:{port}").rstrip("/")
    problems = [*_url_problems(url)]
    if not problems and not url.startswith("https://") and not _is_loopback(urlsplit(url).hostname or ""):
        do = "put a proxy with TLS before it and name its URL (`--public-url https://...`)"
        what = f"{url} is no address of this machine alone, and passwords would go over it in the clear"
        problems.append(Problem(what=what, do=do, path="--public-url"))
    if oidc and not (is_safe_url(oidc.issuer) and oidc.client_id):
        do = "give the issuer's URL with `https://`, and the client's id beside it"
        what = f"{oidc.issuer!r} and {oidc.client_id!r} name no identity provider"
        problems.append(Problem(what=what, do=do, path="--oidc-issuer"))
    if problems:
        raise UserError(problems)
    database = database_url or sqlite_url(project.root / DATA / "console.sqlite3")
    return Settings(
        project=project,
        cloud=cloud,
        host=host,
        port=port,
        public_url=url,
        database_url=database,
        oidc=oidc,
    )


def _url_problems(url: str) -> list[Problem]:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.hostname and not (parts.path or parts.query):
        return []
    do = "write it as `https://console.example.com`"
    return [Problem(what=f"{url!r} is no URL of a host alone", do=do, path="--public-url")]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
