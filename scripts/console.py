"""`fleetform console`: serve the web console."""

from __future__ import annotations

import importlib.util
from typing import Any

import click

from scripts.console_io import note, say, warn
from scripts.options import cloud_option


@click.command()
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on. [default: 8765]")
@click.option("--public-url", metavar="URL", help="What browsers call it by. [default: http://HOST:PORT]")
@click.option(
    "--database",
    "database_url",
    metavar="URL",
    help="Where people and sessions are kept; FLEETFORM_CONSOLE_DATABASE, where a password is in it. "
    "[default: a file in console-data/]",
)
@click.option(
    "--oidc-issuer",
    envvar="FLEETFORM_OIDC_ISSUER",
    metavar="URL",
    help="The company's identity provider; its secret for us is FLEETFORM_OIDC_CLIENT_SECRET.",
)
@click.option("--oidc-client-id", envvar="FLEETFORM_OIDC_CLIENT_ID", metavar="ID", help="Who we are there.")
@click.option("--check", is_flag=True, help="Say what holds, and whether what it needs answers; stop.")
@click.option("--systemd-unit", is_flag=True, help="Print the unit file of a service, and stop.")
@cloud_option
def command(check: bool, systemd_unit: bool, cloud: str | None, **said: Any) -> None:
    """Serve the console: launch, watch, fetch and tear down with the mouse, and read the record.

    It works on the project that it is started in, as the project's console.toml says; an option here comes
    before what stands there. The first start prints a token with which the first account is made.
    """
    from stacks.problems import UserError

    if importlib.util.find_spec("fastapi") is None:
        raise UserError.of("the console is not installed", "install it: pip install 'fleetform[console]'")
    from console.serve import examine, serve, unit
    from console.settings import choose_settings
    from fleet.cloud import choose_cloud
    from fleet.project import find_project

    project = find_project()
    choose_cloud(project, cloud)
    if systemd_unit:
        click.echo(unit(project, cloud), nl=False)
        return
    settings = choose_settings(project, cloud=cloud, **said)
    for each in settings.warnings:
        warn(each)
    if check:
        for line in examine(settings):
            say(line)
        return
    serve(settings, note)
