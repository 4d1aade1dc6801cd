"""`/environments/NAME/runs`: an environment's runs, newest first, a page at a time."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from console.pages.run_view import run_line
from console.pages.seen import run_path, seen_runs, seen_teams
from console.web import assets
from console.web.visit import AnyVisit, Visit
from console.words.codes import state_name
from console.words.reader import Reader
from fleet import commands
from fleet.run_index import RunIndex, Where
from fleet.runs import RunStatus
from templates.console.parts import Choice
from templates.console.runs import RunRow, RunsPage

ROWS = 50
ACTIVE = "active"
_STATES = ("SUBMITTED", "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT", "PREEMPTED")
"""The states that people look for; the others last for seconds."""

router = APIRouter()


@router.get("/environments/{name}/runs")
def show(
    visit: AnyVisit,
    name: str,
    before: Annotated[str, Query(max_length=100)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
    person: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the runs of an environment that this person may see."""
    _ = visit.reader.gettext
    standing, runs = seen_runs(visit, name)
    index = runs.current()
    where = Where(
        states=frozenset({state} & set(_STATES)),
        active=state == ACTIVE,
        person=person.strip(),
        teams=seen_teams(visit, standing),
        tasks=False,
    )
    page = index.page(before, ROWS, where)
    here = visit.request.url.path
    chosen = {"state": state, "person": person}
    return visit.page(
        RunsPage(
            frame=visit.frame(_("Runs of {name}").format(name=name), command=_command(name, where, before)),
            style=assets.url("runs.css"),
            here=here,
            states=_states(visit.reader, state),
            person=person,
            rows=tuple(_row(visit.reader, name, index, run) for run in page.runs),
            compare=f"/environments/{name}/compare",
            older=_link(here, {**chosen, "before": page.older}) if page.older else "",
            newest=_link(here, chosen) if before else "",
            empty="" if page.runs else _empty(visit, filtered=bool(state or person or before)),
        )
    )


def _row(reader: Reader, environment: str, index: RunIndex, run: RunStatus) -> RunRow:
    tasks = index.tasks_of(run.run_id) if run.tasks else []
    ended = reader.number(sum(not task.active for task in tasks))
    return RunRow(
        line=run_line(reader, run),
        href=run_path(environment, run.run_id),
        person=run.actor.rpartition("/")[2],
        size=f"{run.nodes} x {run.procs_per_node}",
        tasks=reader.gettext("{ended} of {all} tasks ended").format(ended=ended, all=reader.number(run.tasks))
        if run.tasks
        else "",
    )


def _states(reader: Reader, chosen: str) -> tuple[Choice, ...]:
    _ = reader.gettext
    names = [
        ("", _("all")),
        (ACTIVE, _("under way")),
        *((each, state_name(reader, each)) for each in _STATES),
    ]
    return tuple(Choice(value=value, label=label, chosen=value == chosen) for value, label in names)


def _empty(visit: Visit, *, filtered: bool) -> str:
    _ = visit.reader.gettext
    if filtered:
        return _("No run is like this. Older ones may be: see below, or show all.")
    return _("Nothing has run here yet.")


def _link(path: str, query: dict[str, str]) -> str:
    text = urlencode({name: value for name, value in query.items() if value})
    return f"{path}?{text}" if text else path


def _command(environment: str, where: Where, before: str) -> str:
    """Return the command that lists the same runs."""
    words = commands.show_runs(
        environment,
        states=sorted(where.states),
        active=where.active,
        person=where.person,
        before=before,
        limit=ROWS,
    )
    return commands.line(words)
