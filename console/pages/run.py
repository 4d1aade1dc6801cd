"""`/environments/NAME/runs/RUN`: one run as it stands, and what comes of it from there on, live."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from console.acts import start
from console.acts.spec import Resume, Stop
from console.pages import act_view, run_view
from console.pages.seen import SeenRun, is_own, seen_run
from console.web import assets
from console.web.mistakes import RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from fleet import commands
from fleet.policy import Verb
from fleet.tail import News, Tail, near_end
from templates.console.parts import Link
from templates.console.run import RunActions, RunPage

LOG_BYTES = 32 * 1024
"""How much of the end of a log the page begins with."""

router = APIRouter()


@router.get("/environments/{name}/runs/{run_id}")
def show(
    visit: AnyVisit, name: str, run_id: str, rank: Annotated[int, Query(ge=0, le=99_999)] = 0
) -> Response:
    """Show a run that this person may see, with the log of one of its nodes."""
    seen = seen_run(visit, name, run_id)
    ranks, files = frozenset({rank}), visit.services.hub.files(name, run_id, seen.runs.store)
    begin = near_end(files, run_id, LOG_BYTES, ranks)
    tail = Tail(files, run_id, begin, attempt=seen.run.attempt, ranks=ranks)
    return visit.page(_page(visit, seen, tail.look(), rank, shortened=bool(begin.logs)))


@router.post("/environments/{name}/runs/{run_id}/stop")
def stop(visit: AnyVisit, name: str, run_id: str) -> Response:
    """Stop a run that is under way."""
    seen = seen_run(visit, name, run_id)
    visit.require("run.stop", seen.team, own=is_own(visit, seen.run))
    if not seen.run.active:
        raise RefusedError(visit.reader.gettext("This run has ended already."))
    return _begin(visit, Stop(environment=name, run=run_id))


@router.post("/environments/{name}/runs/{run_id}/resume")
def resume(visit: AnyVisit, name: str, run_id: str) -> Response:
    """Go on with a run that has ended too early."""
    seen = seen_run(visit, name, run_id)
    visit.require("run.resume", seen.team, own=is_own(visit, seen.run))
    if not seen.run.may_go_on:
        raise RefusedError(visit.reader.gettext("This run is under way, or has finished."))
    return _begin(visit, Resume(environment=name, run=run_id))


def _begin(visit: Visit, act: Stop | Resume) -> Response:
    place = act_view.place_of(visit)
    return see_other(f"/acts/{start.start(place, visit.person.id, visit.asked_by, act)}")


def _page(visit: Visit, seen: SeenRun, news: News, rank: int, *, shortened: bool) -> RunPage:
    reader, run, store = visit.reader, seen.run, seen.runs.store
    request = store.get_json(run.run_id, "run.json") or {}
    place = urlencode({"from": str(news.cursor), "rank": rank})
    last = news.steps[-1] if news.steps else None
    return RunPage(
        frame=visit.frame(
            reader.gettext("Run {run}").format(run=run.run_id),
            command=commands.line(commands.show_run(seen.standing.name, run.run_id)),
        ),
        about=run_view.about(reader, run, request),
        state=run_view.state(reader, run),
        figures=run_view.figures(reader, run, request, last),
        steps=run_view.step_table(reader, news.steps),
        receipt=run_view.receipt(reader, None if run.active else store.get_json(run.run_id, "receipt.json")),
        ranks=_ranks(visit, seen, rank),
        log="".join(piece.text for piece in news.logs),
        log_shortened=shortened,
        events=run_view.events(reader, news.events),
        actions=actions(visit, seen),
        list_href=f"/environments/{seen.standing.name}/runs",
        stream="" if news.over else f"{seen.path}/events?{place}",
        style=assets.url("runs.css"),
        script=assets.url("run.js"),
        chart_script=assets.url("vendor/uplot.min.js"),
        chart_style=assets.url("vendor/uplot.min.css"),
    )


def actions(visit: Visit, seen: SeenRun) -> RunActions:
    """Return what the person can do with a run as it stands."""
    run = seen.run
    return RunActions(
        model=_model(visit, seen),
        stop=f"{seen.path}/stop" if run.active and _may(visit, "run.stop", seen) else "",
        resume=f"{seen.path}/resume" if run.may_go_on and _may(visit, "run.resume", seen) else "",
        form_token=visit.form_token,
    )


def _may(visit: Visit, verb: Verb, seen: SeenRun) -> bool:
    return visit.may(verb, seen.team, own=is_own(visit, seen.run))


def _model(visit: Visit, seen: SeenRun) -> tuple[Link, ...]:
    """Return where its model is tried and taken home, once it has finished, for who may."""
    _ = visit.reader.gettext
    found = []
    if seen.run.state == "SUCCEEDED" and _may(visit, "model.try", seen):
        found.append(Link(label=_("Try the model"), href=f"{seen.path}/try"))
    if seen.run.state == "SUCCEEDED" and _may(visit, "model.take", seen):
        found.append(Link(label=_("Take the model home"), href=f"{seen.path}/card"))
    return tuple(found)


def _ranks(visit: Visit, seen: SeenRun, chosen: int) -> tuple[Link, ...]:
    """Return where each node's log is shown; nothing where there is one node."""
    if seen.run.nodes == 1:
        return ()
    text = visit.reader.gettext("node {rank}")
    return tuple(
        Link(label=text.format(rank=rank), href=f"{seen.path}?rank={rank}#log-title", current=rank == chosen)
        for rank in range(seen.run.nodes)
    )
