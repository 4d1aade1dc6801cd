"""`console.toml`: a console's settings as the project's file says them, with their meanings and units."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from fleet.project import Project
from stacks.fields import Spec, setting
from stacks.setting_forms import listed
from stacks.spec_file import load_spec

FILE = "console.toml"
"""In the project's folder, beside `environments/`; a console works without one."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _setting(doc: str, unit: str = "", **constraints: Any) -> Any:
    why = "it holds from the console's next start on"
    return setting(doc, unit=unit, change="free", why=why, **constraints)


def network_of(text: str) -> Network:
    """Return an address or a network. Raises ValueError for what is neither, or everybody's."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no address and no network") from None
    if network.prefixlen == 0:
        raise ValueError(f"{text!r} is everybody, and anybody could then say to be somebody else")
    return network


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for each in values:
        network_of(each)
    return values


def has_password(url: str) -> bool:
    """Return whether there is a password in a database's URL."""
    return urlsplit(url).password is not None


def _without_password(url: str) -> str:
    if has_password(url):
        raise ValueError("there is a password in it, and whoever has the project reads this file")
    return url


class SessionsTable(Spec):
    """How long somebody stays signed in."""

    idle_minutes: Annotated[
        int, _setting("Time without a click after which one has to sign in again", "minutes", ge=1, le=1440)
    ] = 30
    max_hours: Annotated[
        int, _setting("Time after which one has to, however much one clicks", "hours", ge=1, le=168)
    ] = 12
    proof_minutes: Annotated[
        int,
        _setting(
            "How long a password that was given lasts for what can't be undone or concerns others",
            "minutes",
            ge=1,
            le=60,
        ),
    ] = 5


class OidcTable(Spec):
    """The company's identity provider."""

    issuer: Annotated[
        str, _setting("The provider's URL, as its discovery document says it; without it there is none")
    ] = ""
    client_id: Annotated[str, _setting("Who this console is to the provider")] = ""
    client_secret_file: Annotated[
        str,
        _setting(
            "File that holds the secret which the provider gave this client, and nothing else; from the "
            "folder of this file where it is no absolute path. Or set FLEETFORM_OIDC_CLIENT_SECRET"
        ),
    ] = ""


class UploadsTable(Spec):
    """What people may bring."""

    max_gib: Annotated[float, _setting("Most that one upload may have", "GiB", ge=0.001, le=1024)] = 2
    max_files: Annotated[int, _setting("Most files that one upload may have", "files", ge=1)] = 20_000
    max_megapixels: Annotated[
        float, _setting("Largest picture that is decoded", "million pixels", ge=0.01, le=67)
    ] = 50
    person_gib: Annotated[
        float, _setting("Most that the uploads of one person may have together", "GiB", ge=0.001)
    ] = 10
    unfinished_days: Annotated[
        int, _setting("Days after which an upload that nobody finished is deleted", "days", ge=1, le=365)
    ] = 2


class ActsTable(Spec):
    """What is kept of acts beside the ledger."""

    keep_days: Annotated[
        int,
        _setting(
            "Days for which an ended act's progress and log are kept; that it was done is in the ledger",
            "days",
            ge=1,
            le=3650,
        ),
    ] = 90


class ConsoleFile(Spec):
    """All that the file may say."""

    public_url: Annotated[
        str,
        _setting("What browsers call the console by; without it `http://HOST:PORT`, for this machine alone"),
    ] = ""
    host: Annotated[str, _setting("Address to listen on")] = "127.0.0.1"
    port: Annotated[int, _setting("Port to listen on", ge=1, le=65535)] = 8765
    proxies: Annotated[
        tuple[str, ...],
        BeforeValidator(listed),
        AfterValidator(_networks),
        _setting(
            "Proxies before the console, by address or network, that are believed where a request comes from "
            "(X-Forwarded-For); nobody else is",
            form="addresses or networks (`10.0.0.0/24`)",
        ),
    ] = ()
    database: Annotated[
        str,
        AfterValidator(_without_password),
        _setting(
            "Where people, roles and sessions are kept: `sqlite:///PATH`, or `postgresql://USER@HOST/NAME` "
            "for several replicas; without it a file in console-data/. A password for it goes into "
            "FLEETFORM_CONSOLE_DATABASE, PGPASSWORD or ~/.pgpass"
        ),
    ] = ""
    sessions: Annotated[SessionsTable, _setting("How long somebody stays signed in")] = SessionsTable()
    oidc: Annotated[OidcTable, _setting("The company's identity provider")] = OidcTable()
    uploads: Annotated[UploadsTable, _setting("What people may bring")] = UploadsTable()
    acts: Annotated[ActsTable, _setting("What is kept of acts")] = ActsTable()


def read_file(project: Project) -> tuple[ConsoleFile, Path]:
    """Return what the project's file says, the defaults where there is none, and where it is or would be.

    Raises UserError with every problem of the file.
    """
    file = project.root / FILE
    return (load_spec(ConsoleFile, file) if file.is_file() else ConsoleFile()), file
