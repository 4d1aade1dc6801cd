"""The one door to uvicorn: serves the console until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import Callable

import uvicorn

from console.app import create_app
from console.examination import examine as examine  # what starts a console sees this module alone
from console.logs import logging_to
from console.people import accounts, tokens
from console.services import Services, open_services
from console.settings import Settings
from console.unit import unit as unit

_GRACE_SECONDS = 5
"""How long open answers, live pages among them, may go on once it is told to stop."""


def serve(settings: Settings, tell: Callable[[str], None]) -> None:
    """Serve until interrupted; `tell` hears where it is, and of the first account's token."""
    with logging_to(sys.stderr):
        services = open_services(settings)
        for line in greeting(services):
            tell(line)
        make_server(services).run()


def greeting(services: Services) -> list[str]:
    """Return what whoever starts it has to know; a token for the first account, as long as there is none."""
    url = services.settings.public_url
    lines = [f"the console is at {url}; ctrl-C stops it"]
    with services.database.writing() as database:
        if not accounts.is_anybody_there(database):
            token = tokens.first_token(database)
            lines.append(f"nobody has an account yet: open {url}/welcome and make the first one")
            lines.append(f"the token for it, good once and for {tokens.FIRST_HOURS} hours: {token}")
    return lines


def make_server(services: Services) -> uvicorn.Server:
    """Return a server that listens where the settings say once it is run."""
    settings = services.settings
    config = uvicorn.Config(
        create_app(services),
        host=settings.host,
        port=settings.port,
        # Paths hold names of what teams do, and what is done is in the ledger: no second log of it.
        access_log=False,
        log_config=None,  # whoever runs it says where to, and in which form: console/logs.py
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        h11_max_incomplete_event_size=32 * 1024,
    )
    return uvicorn.Server(config)
