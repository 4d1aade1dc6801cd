"""`fleetform fetch`: copy a run's outputs to this machine."""

from __future__ import annotations

from pathlib import Path

import click

from scripts.console_io import live, say, warn
from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="[default: runs/RUN]")
@cloud_option
def command(environment: str, run: str, to: Path | None, cloud: str | None) -> int:
    """Copy RUN of ENVIRONMENT to a folder, each file verified; what is there already is not copied again."""
    from fleet.fetch import fetch
    from fleet.run_store import open_runs
    from fleet.runs import read_run
    from fleet.session import open_session
    from scripts.run_output import receipt_lines

    session = open_session(environment, cloud)
    assert session.caller
    store = open_runs(session)
    found = read_run(store, run)
    if found.active:
        warn(f"the run is {found.state}: more will come")
    folder = to or Path("runs") / run
    with session.ledger.act("run.fetch", run) as act:
        session.require_on_run("model.take", store.get_json(run, "run.json") or {})
        done = fetch(store, run, folder, lambda name, size: live.show(f"{name}  {size} bytes"))
        act.details.update(files=done.files, copied_bytes=done.copied_bytes)
    live.clear()
    say(
        f"{done.folder}: {done.files} files, {done.copied} copied ({done.copied_bytes / 1e6:.1f} MB), "
        f"{done.verified} verified by their SHA-256"
    )
    for line in receipt_lines(store.get_json(run, "receipt.json")):
        say(line)
    return 0
