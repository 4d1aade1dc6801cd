"""`fleetform runs`: list an environment's runs."""

from __future__ import annotations

import click

from scripts.console_io import emit_json, say, table
from scripts.options import cloud_option, environment_argument, json_option


@click.command()
@environment_argument
@json_option
@cloud_option
def command(environment: str, as_json: bool, cloud: str | None) -> int:
    """List ENVIRONMENT's runs, newest first; they are kept when its fleet is torn down."""
    from fleet.run_control import settle_all
    from fleet.run_store import open_runs
    from fleet.session import open_session
    from scripts.run_output import duration, size_text

    session = open_session(environment, cloud)
    assert session.caller
    runs = settle_all(open_runs(session), session.ledger)
    if as_json:
        emit_json([run.to_dict() for run in runs])
        return 0
    if not runs:
        say(f"no runs in {environment}")
        return 0
    rows = []
    for run in runs:
        submitted = run.submitted[:19].replace("T", " ")
        rows.append((run.run_id, run.program, size_text(run), run.state, submitted, duration(run.seconds)))
    say(table(("run", "program", "nodes x processes", "state", "submitted (UTC)", "ran"), rows, right=(5,)))
    return 0
