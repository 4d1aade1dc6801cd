"""`fleetform plan`: show in words what would change, what it costs, and what becomes of running nodes."""

from __future__ import annotations

import click

from scripts.console_io import emit_json, live
from scripts.options import cloud_option, environment_argument, json_option

EXIT_CHANGES = 2
"""As Terraform's own `plan -detailed-exitcode`; without that option 2 is the user's mistake."""


@click.command()
@environment_argument
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where there is something to change, as Terraform."
)
@json_option
@cloud_option
def command(environment: str, detailed_exitcode: bool, as_json: bool, cloud: str | None) -> int:
    """Show what `fleetform up` would change in ENVIRONMENT and the account, and what it costs.

    Nothing is created.
    """
    from fleet.plan_report import plan_report
    from fleet.session import open_session
    from scripts.plan_output import show_report
    from scripts.progress import reporter

    found = plan_report(open_session(environment, cloud, checked=True), reporter())
    live.clear()
    if as_json:
        emit_json(found.to_dict())
    else:
        show_report(found)
    return EXIT_CHANGES if detailed_exitcode and not found.empty else 0
