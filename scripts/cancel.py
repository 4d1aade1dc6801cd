"""`fleetform cancel`: stop a run."""

from __future__ import annotations

import click

from scripts.console_io import live, say
from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@cloud_option
def command(environment: str, run: str, cloud: str | None) -> int:
    """Stop RUN of ENVIRONMENT and wait until it has ended; its trainer gets 30 s to write a checkpoint."""
    from fleet.queue_acts import queue_teller
    from fleet.run_control import cancel, settle
    from fleet.run_store import open_runs
    from fleet.session import open_session

    session = open_session(environment, cloud)
    actor = session.caller
    store = open_runs(session)
    if request := store.get_json(run, "run.json"):
        with session.recording_refusal("run.cancel", run):
            session.require_on_run("run.stop", request)
    ended = cancel(
        store,
        session.ledger,
        run,
        actor,
        tell=queue_teller(session),
        on_wait=lambda each: live.show(f"{each.state}, waiting for its end"),
    )
    settle(store, session.ledger, ended)
    live.clear()
    say(f"{ended.run_id} {ended.state}{': ' if ended.cause else ''}{ended.cause}")
    return 0
