"""`fleetform logs`: print a run's log."""

from __future__ import annotations

import click

from scripts.console_io import note
from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@click.option(
    "--follow", "-f", is_flag=True, help="Go on until the run ends; exit code 1 unless it succeeded."
)
@click.option("--node", "rank", type=int, metavar="RANK", help="This node's log only. [default: all]")
@cloud_option
def command(environment: str, run: str, follow: bool, rank: int | None, cloud: str | None) -> int:
    """Print what RUN of ENVIRONMENT has written to its log."""
    from fleet.follow import read_logs
    from fleet.run_store import open_runs
    from fleet.runs import read_run
    from fleet.session import open_session
    from scripts.run_output import LogPrinter, follow_to_end, receipt_lines
    from stacks.problems import UserError

    session = open_session(environment, cloud)
    assert session.caller
    store = open_runs(session)
    found = read_run(store, run)
    if rank is not None and not 0 <= rank < found.nodes:
        raise UserError.of(
            f"the run has no node {rank}", f"its nodes are 0 to {found.nodes - 1}", path="--node"
        )
    if follow:
        return follow_to_end(session, run, rank=rank)
    if found.tasks:
        note(f"the run is an array of {found.tasks} tasks with logs of their own: name one, `{run}-a...`")
    printer = LogPrinter(several=found.nodes > 1 and rank is None)
    for piece in read_logs(store, run, rank=rank):
        printer.show(piece)
        printer.end_lines()
    for line in receipt_lines(store.get_json(run, "receipt.json")):
        note(line)
    return 0
