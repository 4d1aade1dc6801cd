"""`fleetform drift`: what stands otherwise than declared, and how bad that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.drift import DriftReport

EXIT_DRIFT = 4
"""Something of rank medium or worse has drifted; 1 is a failed look, 2 the user's mistake, 3 a teardown's."""
EXIT_TERRAFORM = 2
"""As Terraform's own `plan -detailed-exitcode`, where any difference counts."""

_MOST_ATTRIBUTES = 8
"""Attributes of one finding that are shown, the worst; `--json` has all."""


@click.command()
@environment_argument
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where anything drifted, even notes, as Terraform."
)
@json_option
@cloud_option
def command(environment: str, detailed_exitcode: bool, as_json: bool, cloud: str | None) -> int:
    """Compare what stands of ENVIRONMENT and the account with what was declared. Nothing is changed.

    Ranks what it finds: critical, high, medium, note. Exit code 4 where something of rank medium or worse has
    drifted; notes alone exit with 0.
    """
    from fleet.drift import drift
    from fleet.session import open_session
    from scripts.progress import reporter

    found = drift(open_session(environment, cloud), reporter())
    live.clear()
    if as_json:
        emit_json(found.to_dict())
    else:
        _show(found)
    if detailed_exitcode:
        return EXIT_TERRAFORM if found.findings else 0
    return EXIT_DRIFT if found.worst not in (None, "note") else 0


def _show(report: DriftReport) -> None:
    for each in report.findings:
        say(f"{each.rank.upper()}  {each.what} ({each.stack} {each.address})")
        for attribute in each.attributes[:_MOST_ATTRIBUTES]:
            say(f"    {attribute}")
        if len(each.attributes) > _MOST_ATTRIBUTES:
            say(f"    and {len(each.attributes) - _MOST_ATTRIBUTES} more (--json)")
        say(f"    {each.repair}")
    if report.pending:
        say(f"not applied yet, which is no drift: {len(report.pending)} changes (`fleetform plan`)")
    counts = ", ".join(f"{count} {rank}" for rank, count in report.counts.items() if count)
    stacks = ", ".join(report.looked_at) or "no stack"
    say(f"{report.environment}: {counts or 'nothing has drifted'} (looked at {stacks})")
