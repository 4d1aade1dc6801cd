"""`fleetform plan`: show what Terraform would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.plan import StackPlan

EXIT_CHANGES = 2
"""As Terraform's own `plan -detailed-exitcode`; without that option 2 is the user's mistake."""
_SIGNS = {"create": "+", "update": "~", "delete": "-", "replace": "-/+", "import": "="}


@click.command()
@environment_argument
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where there is something to change, as Terraform."
)
@json_option
@cloud_option
def command(environment: str, detailed_exitcode: bool, as_json: bool, cloud: str | None) -> int:
    """Show what `fleetform up` would change in ENVIRONMENT and the account. Nothing is created."""
    from dataclasses import asdict

    from fleet.plan import plan
    from fleet.session import open_session
    from scripts.progress import reporter

    plans = plan(open_session(environment, cloud, checked=True), reporter())
    live.clear()
    if as_json:
        emit_json([asdict(each) for each in plans])
    else:
        show_plans(plans)
    return EXIT_CHANGES if detailed_exitcode and not all(each.empty for each in plans) else 0


def show_plans(plans: Sequence[StackPlan]) -> None:
    """Print every stack's changes."""
    for each in plans:
        mark = f" (provisional: {each.provisional})" if each.provisional else ""
        say(f"{each.stack}: {'nothing to change' if each.empty else each.changes}{mark}")
        for change in each.planned:
            reason = f" ({change.reason})" if change.reason else ""
            say(f"  {_SIGNS.get(change.action, change.action):>3} {change.address}{reason}")
