"""`/environments/NAME/runs/RUN/events`: what is new of a run, as server-sent events, from a place on.

Each event is one look's news as JSON, and its id is the place that it reaches to: a browser that was cut off,
and comes back with it, misses nothing and gets nothing twice, from this console or another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.sse import EventSourceResponse

from console.live.stream import Stream
from console.pages import run_view
from console.pages.run import actions
from console.pages.seen import SeenRun, seen_run
from console.web.visit import AnyVisit, Visit, guest_of
from fleet.tail import Cursor, News, Tail
from templates.console.run import ActionsPart, EventsPart, FiguresPart, ReceiptPart, StatePart
from templates.engine import Context

router = APIRouter()


@router.get("/environments/{name}/runs/{run_id}/events")
def show(
    visit: AnyVisit,
    request: Request,
    name: str,
    run_id: str,
    place: Annotated[str, Query(alias="from", max_length=4096)] = str(Cursor()),
    rank: Annotated[int, Query(ge=0, le=99_999)] = 0,
) -> Response:
    """Answer with the stream; the place that the browser has come to goes before that of its page."""
    seen = seen_run(visit, name, run_id)
    cursor = Cursor.parse(request.headers.get("last-event-id") or place)
    files = visit.services.hub.files(name, run_id, seen.runs.store)
    tail = Tail(files, run_id, cursor, attempt=seen.run.attempt, ranks=frozenset({rank}))
    live = _Live(visit, seen)
    stream = Stream(tail, live.told, live.may_go_on, visit.services.hub)
    return EventSourceResponse(stream.lines(), headers={"X-Accel-Buffering": "no"})


class _Live:
    """What is told of a run's news, in the language of one reader."""

    def __init__(self, visit: Visit, seen: SeenRun) -> None:
        self._visit, self._seen = visit, seen
        self._request: Mapping[str, Any] = seen.runs.store.get_json(seen.run.run_id, "run.json") or {}
        self._last: Mapping[str, Any] | None = None

    def may_go_on(self) -> bool:
        """Return whether the reader is still signed in and may still see the run."""
        guest = guest_of(self._visit.request)
        if guest.signed_in is None:
            return False
        visit = Visit(guest.request, guest.services, guest.reader, guest.signed_in)
        return visit.sees_run(self._seen.standing, self._seen.run)

    def told(self, news: News) -> dict[str, Any]:
        """Return one look's news as the page takes them."""
        reader, runs, run_id = self._visit.reader, self._seen.runs, self._seen.run.run_id
        run = runs.index.look_at(run_id) if news.events or not news else None
        run = run or self._seen.run
        self._last = news.steps[-1] if news.steps else self._last
        table = run_view.step_table(reader, news.steps)
        answer: dict[str, Any] = {
            "state": self._html(StatePart(state=run_view.state(reader, run))),
            "figures": self._html(
                FiguresPart(figures=run_view.figures(reader, run, self._request, self._last))
            ),
            "events": self._html(EventsPart(events=run_view.events(reader, news.events))),
            "columns": [[column.key, column.label] for column in table.columns],
            "rows": table.rows,
            "anew": news.steps_anew,
            "log": [[piece.text, piece.anew] for piece in news.logs],
            "over": news.over,
        }
        if news.over:
            found = runs.store.get_json(run_id, "receipt.json")
            ended = replace(self._seen, run=run)
            answer["actions"] = self._html(ActionsPart(actions=actions(self._visit, ended)))
            answer["receipt"] = self._html(ReceiptPart(receipt=run_view.receipt(reader, found)))
        return answer

    def _html(self, part: Context) -> str:
        return self._visit.services.renderers[self._visit.reader.language](part)
