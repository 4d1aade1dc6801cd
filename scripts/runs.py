"""`fleetform runs`: an environment's runs, their numbers as plots, and where their time went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.run_numbers import RunNumbers

LISTING = "list"


class RunsGroup(click.Group):
    """Takes what is no verb of its own for the environment whose runs are to be listed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before the arguments of a plain `fleetform runs ENVIRONMENT`."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [LISTING, *args]
        return super().parse_args(ctx, args)


@click.group(cls=RunsGroup)
def command() -> None:
    """List an environment's runs, plot one, say where its time went.

    `fleetform runs ENVIRONMENT` lists; of an environment with the name of a command it is
    `fleetform runs list ENVIRONMENT`.
    """


@command.command(LISTING, short_help="List an environment's runs, newest first.")
@environment_argument
@click.option("--team", default="", metavar="NAME", help="The runs of this further team. [default: all]")
@click.option("--tasks", is_flag=True, help="The tasks of arrays, too, and not only their number.")
@json_option
@cloud_option
def list_runs(environment: str, team: str, tasks: bool, as_json: bool, cloud: str | None) -> int:
    """List ENVIRONMENT's runs, newest first; they are kept when its fleet is torn down."""
    from fleet.run_control import settle_all
    from fleet.run_store import open_runs
    from fleet.session import open_session
    from scripts.run_output import done_tasks, duration, size_text

    session = open_session(environment, cloud)
    assert session.caller
    runs = settle_all(open_runs(session, team), session.ledger)
    if as_json:
        emit_json([run.to_dict() for run in runs])
        return 0
    if not runs:
        say(f"no runs in {environment}")
        return 0
    rows = []
    for run in runs:
        submitted = run.submitted[:19].replace("T", " ")
        if run.array_of and not tasks:
            continue
        state = f"{run.state} ({done_tasks(runs, run)})" if run.tasks else run.state
        rows.append((run.run_id, run.program, size_text(run), state, submitted, duration(run.seconds)))
    say(table(("run", "program", "nodes x processes", "state", "submitted (UTC)", "ran"), rows, right=(5,)))
    return 0


_folder_option = click.option(
    "--dir", "folder", type=click.Path(path_type=Path), metavar="DIR",
    help="A run directory on this machine instead of ENVIRONMENT and RUN; needs no cloud.",
)  # fmt: skip
_price_option = click.option(
    "--usd-per-hour", type=click.FloatRange(min=0), metavar="USD",
    help="What the run's machines cost together. [default: the list price at which it was submitted]",
)  # fmt: skip


@command.command("plot", short_help="Draw a run's numbers as SVG.")
@click.argument("environment", required=False)
@click.argument("run", required=False)
@_folder_option
@_price_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="[default: plots/RUN]")
@cloud_option
def plot(
    environment: str | None, run: str | None, folder: Path | None, usd_per_hour: float | None,
    out: Path | None, cloud: str | None,
) -> int:  # fmt: skip
    """Draw RUN of ENVIRONMENT as SVG: loss, throughput, step time, memory, where its time went."""
    from fleet.charts import require_matplotlib
    from fleet.run_plots import plot_run

    require_matplotlib()
    numbers = _numbers(environment, run, folder, usd_per_hour, cloud)
    for path in plot_run(numbers, out or Path("plots") / numbers.name):
        say(str(path))
    return 0


@command.command("goodput", short_help="Say where a run's time went.")
@click.argument("environment", required=False)
@click.argument("run", required=False)
@_folder_option
@_price_option
@json_option
@cloud_option
def goodput(
    environment: str | None, run: str | None, folder: Path | None, usd_per_hour: float | None,
    as_json: bool, cloud: str | None,
) -> int:  # fmt: skip
    """Say where the time of RUN of ENVIRONMENT went, every second of it, and what it cost."""
    from fleet.goodput_report import report
    from stacks.problems import UserError

    numbers = _numbers(environment, run, folder, usd_per_hour, cloud)
    ledger = numbers.ledger
    if ledger is None:
        raise UserError.of(
            f"{numbers.name} has no goodput.jsonl, in which the launcher and the trainer tell of its time",
            "start the program with `fleetform run` or `python -m trainer.launch`", path="RUN",
        )  # fmt: skip
    if ledger.unread_lines:
        warn(f"lines of goodput.jsonl that are torn or no events, and were left out: {ledger.unread_lines}")
    if as_json:
        emit_json({"run": numbers.name, **ledger.to_dict()})
        return 0
    found = report(numbers)
    for line in (*found.headlines, "", table(found.headers, found.rows, right=(2, 3, 4)), *found.restarts):
        say(line)
    return 0


def _numbers(
    environment: str | None, run: str | None, folder: Path | None, usd_per_hour: float | None,
    cloud: str | None,
) -> RunNumbers:  # fmt: skip
    """Return the run's numbers from where the user says that they are."""
    from fleet.run_numbers import read_folder, read_stored
    from fleet.run_store import open_runs
    from fleet.session import open_session

    if folder is not None:
        if environment is not None:
            raise click.UsageError("name either ENVIRONMENT and RUN, or --dir DIR")
        return read_folder(folder, usd_per_hour)
    if environment is None or run is None:
        raise click.UsageError("name ENVIRONMENT and RUN, or --dir DIR for a run directory on this machine")
    session = open_session(environment, cloud)
    assert session.caller
    return read_stored(open_runs(session), run, usd_per_hour)
