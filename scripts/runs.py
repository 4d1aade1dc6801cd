"""`fleetform runs`: an environment's runs, some beside each other, their plots, and where their time went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, note, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.run_index import RunIndex
    from fleet.run_numbers import RunNumbers
    from fleet.runs import RunStatus

LISTING = "list"
STATES = (
    "SUBMITTED", "QUEUED", "HELD", "PROVISIONING", "RUNNING", "REQUEUED",
    "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "PREEMPTED",
)  # fmt: skip


class RunsGroup(click.Group):
    """Takes what is no verb of its own for the environment whose runs are to be listed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before the arguments of a plain `fleetform runs ENVIRONMENT`."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [LISTING, *args]
        return super().parse_args(ctx, args)


@click.group(cls=RunsGroup)
def command() -> None:
    """List an environment's runs, compare some, plot one, say where its time went.

    `fleetform runs ENVIRONMENT` lists; of an environment with the name of a command it is
    `fleetform runs list ENVIRONMENT`.
    """


@command.command(LISTING, short_help="List an environment's runs, newest first.")
@environment_argument
@click.option("--team", default="", metavar="NAME", help="The runs of this further team. [default: all]")
@click.option("--active", is_flag=True, help="Those that have not ended.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    metavar="STATE",
    help=f"Those in this state: {', '.join(STATES)}; repeatable.",
)
@click.option(
    "--by", "person", default="", metavar="WHO", help="Those that somebody submitted: ARN, or its end."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The newest so many. [default: all]")
@click.option("--before", default="", metavar="RUN", help="Those that are older than this one.")
@click.option("--tasks", is_flag=True, help="The tasks of arrays, too, and not only their number.")
@json_option
@cloud_option
def list_runs(
    environment: str, team: str, active: bool, states: tuple[str, ...], person: str, limit: int | None,
    before: str, tasks: bool, as_json: bool, cloud: str | None,
) -> int:  # fmt: skip
    """List ENVIRONMENT's runs, newest first; they are kept when its fleet is torn down."""
    from fleet.run_control import settle_all, settle_known
    from fleet.run_index import Where, open_index
    from fleet.run_store import open_runs
    from fleet.session import open_session

    session = open_session(environment, cloud)
    assert session.caller
    store, index = open_runs(session, team), open_index(session, team)
    where = Where(states=frozenset(states), active=active, person=person, tasks=tasks or as_json)
    if limit is None:
        settle_all(store, session.ledger, index)
    else:
        index.refresh()
        index.find(before, limit, where)  # these are read, so that they are among those that are settled
        settle_known(store, session.ledger, index)
    page = index.find(before, limit, where)
    if as_json:
        emit_json([run.to_dict() for run in page.runs])
        return 0
    say(_listing(index, page.runs) if page.runs else f"no such runs in {environment}")
    if page.older:
        note(f"there are older ones: --before {page.older}")
    return 0


def _listing(index: RunIndex, runs: Sequence[RunStatus]) -> str:
    """Return runs as a table."""
    from scripts.run_output import done_tasks, duration, size_text

    rows = []
    for run in runs:
        submitted = run.submitted[:19].replace("T", " ")
        state = f"{run.state} ({done_tasks(run, index.tasks_of(run.run_id))})" if run.tasks else run.state
        rows.append((run.run_id, run.program, size_text(run), state, submitted, duration(run.seconds)))
    return table(("run", "program", "nodes x processes", "state", "submitted (UTC)", "ran"), rows, right=(5,))


@command.command("compare", short_help="Show several runs beside each other.")
@environment_argument
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@json_option
@cloud_option
def compare_runs(environment: str, runs: tuple[str, ...], as_json: bool, cloud: str | None) -> int:
    """Show RUNs of ENVIRONMENT beside each other: what differs in them, what came of it, which is best."""
    from fleet.compare import compare
    from fleet.run_store import open_runs
    from fleet.session import open_session
    from scripts.compare_output import comparison_lines

    session = open_session(environment, cloud)
    assert session.caller
    found = compare(open_runs(session), runs)
    if as_json:
        emit_json(found.to_dict())
        return 0
    for line in comparison_lines(found):
        say(line)
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
