"""`fleetform console`: serve the web console."""

from __future__ import annotations

import importlib.util
import os

import click

from scripts.console_io import note
from scripts.options import cloud_option


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on.")
@click.option(
    "--public-url", default="", metavar="URL", help="What browsers call it by. [default: http://HOST:PORT]"
)
@click.option(
    "--database",
    default="",
    envvar="FLEETFORM_CONSOLE_DATABASE",
    metavar="URL",
    help="Where people and sessions are kept. [default: a file in console-data/]",
)
@click.option(
    "--oidc-issuer",
    envvar="FLEETFORM_OIDC_ISSUER",
    metavar="URL",
    help="The company's identity provider; its secret for us is FLEETFORM_OIDC_CLIENT_SECRET.",
)
@click.option(
    "--oidc-client-id", default="", envvar="FLEETFORM_OIDC_CLIENT_ID", metavar="ID", help="Who we are there."
)
@cloud_option
def command(
    host: str,
    port: int,
    public_url: str,
    database: str,
    oidc_issuer: str | None,
    oidc_client_id: str,
    cloud: str | None,
) -> None:
    """Serve the console: launch, watch, fetch and tear down with the mouse, and read the record.

    It works on the project that it is started in. The first start prints a token with which the first
    account is made.
    """
    from stacks.problems import UserError

    if importlib.util.find_spec("fastapi") is None:
        raise UserError.of("the console is not installed", "install it: pip install 'fleetform[console]'")
    from console.serve import serve
    from console.settings import OidcSettings, choose_settings
    from fleet.cloud import choose_cloud
    from fleet.project import find_project

    project = find_project()
    choose_cloud(project, cloud)
    oidc = None
    if oidc_issuer:
        secret = os.environ.get("FLEETFORM_OIDC_CLIENT_SECRET", "")  # never an option: those are seen by all
        oidc = OidcSettings(issuer=oidc_issuer, client_id=oidc_client_id, client_secret=secret)
    settings = choose_settings(
        project, cloud=cloud, host=host, port=port, public_url=public_url, database_url=database, oidc=oidc
    )
    serve(settings, note)
