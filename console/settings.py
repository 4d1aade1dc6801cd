"""What a console is started with: its project and cloud, where it listens, where it keeps people."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from console.people.oidc import OidcSettings, is_safe_url
from console.people.sessions import Limits
from console.settings_file import ConsoleFile, Network, has_password, network_of, read_file
from console.store.database import sqlite_url
from console.uploads.limits import UploadLimits
from fleet.project import Project
from stacks.problems import Problem, UserError
from stacks.spec_file import shown

DATA = "console-data"
"""Folder in the project for what the console keeps and nothing can make again: people, uploads under way."""
DATABASE_VARIABLE = "FLEETFORM_CONSOLE_DATABASE"
OIDC_SECRET_VARIABLE = "FLEETFORM_OIDC_CLIENT_SECRET"  # noqa: S105 - the name of it
_GIB = 1024**3


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
    proxies: tuple[Network, ...] = ()
    """Who is believed where a request comes from."""
    limits: Limits = field(default_factory=Limits)
    oidc: OidcSettings | None = None
    """The company's identity provider; local accounts are the way in without one, and beside it."""
    uploads: UploadLimits = field(default_factory=UploadLimits)
    keep_acts: datetime.timedelta = datetime.timedelta(days=90)
    """For how long an ended act's progress and log are kept."""
    warnings: tuple[str, ...] = ()
    """What holds, and is hardly what somebody wants."""

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
    host: str | None = None,
    port: int | None = None,
    public_url: str | None = None,
    database_url: str | None = None,
    oidc_issuer: str | None = None,
    oidc_client_id: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings: an option's value, else the environment's, else that of `console.toml`.

    `variables` are the process's environment where they are not given. Raises UserError with all that is
    wrong with them.
    """
    said, file = read_file(project)
    choice = _Choice(said, file, os.environ if variables is None else variables)
    settings = Settings(
        project=project,
        cloud=cloud,
        host=host or said.host,
        port=port or said.port,
        public_url=choice.public_url(public_url, host or said.host, port or said.port),
        database_url=choice.database(database_url) or sqlite_url(project.root / DATA / "console.sqlite3"),
        proxies=tuple(network_of(each) for each in said.proxies),
        limits=_limits(said),
        oidc=choice.oidc(oidc_issuer, oidc_client_id),
        uploads=_upload_limits(said),
        keep_acts=datetime.timedelta(days=said.acts.keep_days),
        warnings=tuple(choice.warnings),
    )
    if choice.problems:
        raise UserError(choice.problems)
    return settings


class _Choice:
    """What was said where, and what is wrong with it."""

    def __init__(self, said: ConsoleFile, file: Path, variables: Mapping[str, str]) -> None:
        self.said, self.file, self.variables = said, file, variables
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def public_url(self, option: str | None, host: str, port: int) -> str:
        """Return what browsers call it by."""
        shown_host = f"[{host}]" if ":" in host else host
        url = (option or self.said.public_url or f"http://{shown_host}:{port}").rstrip("/")
        in_file, name = not option and bool(self.said.public_url), "public_url"
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            do = "write it as `https://console.example.com`"
            self._wrong(f"{url!r} is no URL of a host alone", do, name, in_file=in_file)
        elif parts.scheme == "http" and not _is_loopback(parts.hostname):
            what = f"{url} is no address of this machine alone, and passwords would go over it in the clear"
            do = "put a proxy with TLS before it and name its URL (`--public-url https://...`)"
            self._wrong(what, do, name, in_file=in_file)
        elif parts.scheme == "https" and not self.said.proxies:
            self.warnings.append(
                "no proxy is named (`proxies` in console.toml), so whoever comes through the one with TLS "
                "has its address: on record, and where failed sign-ins are counted"
            )
        return url

    def database(self, option: str | None) -> str:
        """Return the database's URL, "" where none is named."""
        if option and has_password(option):
            what = "there is a password in it, which everybody on this machine sees"
            do = f"give the URL in the environment ({DATABASE_VARIABLE}), or the password in ~/.pgpass"
            self._wrong(what, do, "database", in_file=False)
        return option or self.variables.get(DATABASE_VARIABLE, "") or self.said.database

    def oidc(self, issuer: str | None, client_id: str | None) -> OidcSettings | None:
        """Return the identity provider, None where none is named."""
        said = self.said.oidc
        found = OidcSettings(
            issuer=issuer or said.issuer, client_id=client_id or said.client_id, client_secret=self._secret()
        )
        if not found.issuer and not found.client_id:
            return None
        if not is_safe_url(found.issuer) or not found.client_id:
            what = f"{found.issuer!r} and {found.client_id!r} name no identity provider"
            do = "give the issuer's URL with `https://`, and the client's id beside it"
            in_file = not issuer and bool(said.issuer or said.client_id)
            self._wrong(what, do, "oidc.issuer", in_file=in_file, option="--oidc-issuer")
        return found

    def _secret(self) -> str:
        """Return what the provider gave this client: never from an option, which others see."""
        given, name = self.variables.get(OIDC_SECRET_VARIABLE, ""), self.said.oidc.client_secret_file
        if not name:
            return given
        if given:
            self.warnings.append(f"{OIDC_SECRET_VARIABLE} counts, and not oidc.client_secret_file")
            return given
        try:
            secret = (self.file.parent / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            do = "let it hold the secret, for whoever runs the console to read"
            self._wrong(f"{name} can't be read: {why}", do, "oidc.client_secret_file", in_file=True)
            return ""
        if not secret or len(secret.splitlines()) > 1:
            do = "let it hold the secret, in one line"
            self._wrong(f"{name} holds no secret", do, "oidc.client_secret_file", in_file=True)
        return secret

    def _wrong(self, what: str, do: str, name: str, *, in_file: bool, option: str = "") -> None:
        """Note a problem where it stands: in the file, or at the option."""
        file, path = (shown(self.file), name) if in_file else ("", option or f"--{name.replace('_', '-')}")
        self.problems.append(Problem(what=what, do=do, file=file, path=path))


def _limits(said: ConsoleFile) -> Limits:
    return Limits(
        idle=datetime.timedelta(minutes=said.sessions.idle_minutes),
        longest=datetime.timedelta(hours=said.sessions.max_hours),
        fresh=datetime.timedelta(minutes=said.sessions.proof_minutes),
    )


def _upload_limits(said: ConsoleFile) -> UploadLimits:
    return UploadLimits(
        upload_bytes=int(said.uploads.max_gib * _GIB),
        files=said.uploads.max_files,
        picture_pixels=int(said.uploads.max_megapixels * 1e6),
        person_bytes=int(said.uploads.person_gib * _GIB),
        unfinished=datetime.timedelta(days=said.uploads.unfinished_days),
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
