"""`fleetform speedup`: measure what several processes are worth to a job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, note, say, table
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.job import JobSpec


@click.command()
@click.argument("words", nargs=-1, metavar="[ENVIRONMENT] [KEY=VALUE ...] | -- SCRIPT [ARGUMENTS ...]")
@click.option("--recipe", metavar="NAME", help="A recipe of the trainer: `python -m trainer --list`.")
@click.option("--procs", metavar="N,N,...", help="Processes to try. [default: 1,2]")
@click.option("--nodes", metavar="N,N,...", help="Whole nodes to try instead, beside one process.")
@click.option("--procs-per-node", type=int, help="Processes on a node. [default: one for each GPU, or one]")
@click.option("--steps", type=int, default=60, show_default=True, help="Steps of a recipe's trial.")
@click.option("--repeats", type=int, default=2, show_default=True, help="Trials of each count.")
@click.option("--fleet", metavar="NAME", help="The fleet to run on. [default: the only one]")
@click.option("--checkpoints", is_flag=True, help="As for `fleetform run`.")
@click.option("--local", is_flag=True, help="On this machine's processors, without any cloud.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw what was found, too.")
@json_option
@cloud_option
def command(
    words: tuple[str, ...],
    recipe: str | None,
    procs: str | None,
    nodes: str | None,
    procs_per_node: int | None,
    steps: int,
    repeats: int,
    local: bool,
    plot: Path | None,
    as_json: bool,
    cloud: str | None,
    **options: Any,
) -> int:
    """Try a job on several numbers of processes and print what each is worth.

    \b
      fleetform speedup vision --recipe digits --procs 1,2,4
      fleetform speedup vision --recipe gpt --nodes 1,2,4 --plot gpt.svg
      fleetform speedup vision --procs 1,2 -- train.py --epochs 1
      fleetform speedup --local --recipe gpt --procs 1,2

    Each trial is a run; of a recipe it has --steps steps, of a script the length that its arguments give.
    Compared is the median time of a step where the job tells its steps, else the whole run. The receipts of
    later runs of the job use it. Exit code 1, and no claim, where a trial differs from itself by over 5%.
    """
    from stacks.problems import UserError

    counts = _checked(procs, nodes, repeats, steps, local=local, plot=plot is not None)
    environment, *rest = ("", *words) if local else (words or ("",))
    if not local and not environment:
        raise UserError.of("no environment is named", "name one, or say --local", path="ENVIRONMENT")
    job = _job(environment or "local", recipe, tuple(rest), options)
    size = {"steps": steps, "repeats": repeats, "on_trial": _tell}
    if local:
        found = _local(job, counts, size)
    else:
        found = _on_fleet(job, counts, procs_per_node, cloud, size, whole_nodes=nodes is not None)
    _tell_all(found, plot, as_json=as_json)
    return 0 if found["claimed"] else 1


def _tell_all(found: dict[str, Any], plot: Path | None, *, as_json: bool) -> None:
    """Draw and print what was found."""
    if plot is not None:
        from fleet.speedup_chart import plot_trials

        plot_trials(found, plot)
        note(f"drawn: {plot}")
    if as_json:
        emit_json(found)
    else:
        _print(found)


def _counts(text: str) -> list[int]:
    """Return the numbers of `1,2,4`, sorted; what is no number counts as 0, which is refused."""
    return sorted(int(each) if each.strip().isdigit() else 0 for each in text.split(","))


def _checked(
    procs: str | None, nodes: str | None, repeats: int, steps: int, *, local: bool, plot: bool
) -> list[int]:
    """Return the numbers of processes, or of whole nodes, to try. Raises UserError with all that is wrong."""
    from fleet.charts import require_matplotlib
    from fleet.speedup import count_problems
    from stacks.problems import Problem, UserError

    counts = _counts(nodes or procs or "1,2")
    problems = count_problems(counts, repeats, steps, "--nodes" if nodes else "--procs")
    if nodes is not None and (procs is not None or local):
        what = "--procs and --nodes both say what to try" if procs else "this machine is one node"
        problems.append(Problem(what=what, do="leave --nodes out", path="--nodes"))
    if problems:
        raise UserError(problems)
    if plot:
        require_matplotlib()
    return counts


def _job(environment: str, recipe: str | None, rest: tuple[str, ...], options: Mapping[str, Any]) -> JobSpec:
    from fleet.job import JobSpec

    script = Path(rest[0]) if recipe is None and rest else None
    return JobSpec(
        environment=environment,
        recipe=recipe,
        overrides=rest if recipe is not None else (),
        script=script,
        arguments=rest[1:] if script else (),
        **options,
    )


def _tell(number: int, total: int, processes: int) -> None:
    note(f"trial {number} of {total}: {processes} process{'es' if processes > 1 else ''}")


def _local(job: JobSpec, counts: list[int], size: Mapping[str, Any]) -> dict[str, Any]:
    from fleet.job_checks import program_problems
    from fleet.speedup import evaluate, most_processes
    from fleet.speedup_runs import local_trials
    from stacks.problems import UserError

    if problems := list(program_problems(job)):
        raise UserError(problems)
    return evaluate(local_trials(job, counts, **size), None, 1, most_processes(job))


def _on_fleet(
    job: JobSpec,
    counts: list[int],
    procs_per_node: int | None,
    cloud: str | None,
    size: Mapping[str, Any],
    *,
    whole_nodes: bool,
) -> dict[str, Any]:
    from fleet.environment import read_outputs
    from fleet.job import build_request
    from fleet.job_queueing import site_of
    from fleet.run_store import open_runs
    from fleet.session import open_session
    from fleet.speedup import evaluate, most_processes, on_nodes, trial_job
    from fleet.speedup_runs import fleet_trials, keep_trials

    session = open_session(job.environment, cloud, act="run.submit")
    assert session.caller
    outputs = read_outputs(session)
    site = site_of(outputs, session.cloud.variables)
    per_node = procs_per_node or build_request(job, outputs.fleets, site=site).procs_per_node
    counts = on_nodes(counts, per_node) if whole_nodes else counts
    largest = trial_job(job, max(counts), per_node, size["steps"])
    build_request(largest, outputs.fleets, site=site)  # too few nodes are told of before the first trial
    trials, request = fleet_trials(session, outputs, job, counts, procs_per_node=per_node, **size)
    found = evaluate(trials, request["price_usd_per_hour"], per_node, most_processes(job))
    key = keep_trials(open_runs(session), request, found)
    return {**found, "kept": f"s3://{outputs.artifact_bucket}/{key}"}


def _print(found: Mapping[str, Any]) -> None:
    """Print the table and what follows from it."""
    from node.speedup_lines import paying_line

    what = "step" if found["measure"] == "step" else "run"
    heads = [
        "processes",
        "nodes",
        what,
        "samples/s",
        "speed-up",
        "efficiency",
        "time cut",
        "a doubling gives",
    ]
    price = any(row["usd"] is not None for row in found["points"])
    heads += [f"{found['cost_per']} costs"] if price else []
    rows = [_cells(row, "", price) for row in found["points"]]
    rows += [_cells(row, " (projected)", price) for row in found["projected"]]
    say(table(heads, rows, right=(1, 2, 3, 4, 5, 6, 8)))
    say(f"the same trial differed from itself by up to {found['noise_percent']:.1f}%")
    if not found["claimed"]:
        say("that is over 5%: no speed-up is claimed; try again when the machines have nothing else to do")
        return
    end = found.get("stops_paying")
    if end is not None:
        say(paying_line(end))


def _cells(row: Mapping[str, Any], basis: str, price: bool) -> list[str]:
    seconds, rate, doubling = row["seconds"], row.get("samples_per_s"), row.get("doubling")
    time = f"{1e3 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
    worth = "" if doubling is None else f"{doubling['less_time_percent']:+.0f}% less time"
    cells = [f"{row['processes']}{basis}", str(row["nodes"]), time, f"{rate:.1f}" if rate else ""]
    if "speed_up" in row:
        cells += [f"{row['speed_up']:.2f}", f"{row['efficiency_percent']:.0f}%", f"{row['cut_percent']:.0f}%"]
    else:
        cells += ["", "", ""]
    more = "" if doubling is None else f", {doubling['more_cost_percent']:+.0f}% cost"
    cells.append(worth.replace("+", "") + more)
    return [*cells, f"${row['usd']:.3g}"] if price else cells
