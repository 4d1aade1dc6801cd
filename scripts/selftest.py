"""`fleetform selftest`: try a fleet as its users will use it."""

from __future__ import annotations

import datetime

import click

from scripts.console_io import emit_json, live, note, say
from scripts.options import cloud_option, environment_argument, json_option


@click.command()
@environment_argument
@click.option("--fleet", metavar="NAME", help="The fleet to try. [default: the only one]")
@click.option(
    "--nodes", type=int,
    help="Nodes to try it on. [default: all that always stand; where none does, up to 2 that are started]",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True,
    help="How long the training run is to take.",
)  # fmt: skip
@click.option(
    "--mib", type=click.IntRange(min=4), default=256, show_default=True,
    help="Size of the file that each node writes and reads.",
)  # fmt: skip
@json_option
@cloud_option
def command(
    environment: str, fleet: str | None, nodes: int | None, seconds: float, mib: int, as_json: bool,
    cloud: str | None,
) -> int:  # fmt: skip
    """Try a fleet of ENVIRONMENT: all-reduce, file systems, a training run, an interruption and a resume.

    The page with what came out is kept in `selftests/`. Exit code 1 where something does not work.
    """
    from fleet.environment import read_outputs
    from fleet.job_queueing import site_of
    from fleet.selftest import plan_selftest, selftest
    from fleet.selftest_report import write_report
    from fleet.session import open_session

    begun = datetime.datetime.now(datetime.UTC)
    session = open_session(environment, cloud, act="environment.selftest")
    assert session.caller
    outputs = read_outputs(session)
    plan = plan_selftest(session, outputs, fleet=fleet, nodes=nodes, seconds=seconds, mib=mib)
    outcomes = []
    with session.ledger.act("environment.selftest", environment, fleet=plan.fleet, nodes=plan.nodes) as act:
        session.require("run.submit")
        for outcome in selftest(session, outputs, plan, lambda text: live.show(text)):
            outcomes.append(outcome)
            note(f"{'works ' if outcome.ok else 'FAILED'} {outcome.name}: {outcome.said}")
        scheduler = site_of(outputs, session.cloud.variables).scheduler
        report, folder = write_report(session, outputs, plan, outcomes, scheduler, begun)
        act.details.update(ok=report["ok"], runs=sorted({each.run_id for each in outcomes}))
    if as_json:
        emit_json({**report, "folder": str(folder)})
    else:
        say(f"{'everything works' if report['ok'] else 'not everything works'}: {folder / 'selftest.html'}")
    return 0 if report["ok"] else 1
