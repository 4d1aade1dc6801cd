"""`/environments/NAME/compare?run=RUN&run=RUN`: several runs beside each other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from console.pages.run_view import metric_name, run_line
from console.pages.seen import run_path, seen_run, seen_runs
from console.web import assets
from console.web.mistakes import RefusedError
from console.web.visit import AnyVisit
from console.words.codes import setting_name
from console.words.reader import Reader
from fleet import commands
from fleet.compare import FEWEST, MOST, Comparison, Figure, Result, Setting, compare
from templates.console.compare import Cell, ComparedRun, ComparePage, Row

router = APIRouter()


@router.get("/environments/{name}/compare")
def show(
    visit: AnyVisit, name: str, run: Annotated[list[str] | None, Query(max_length=50)] = None
) -> Response:
    """Show runs that this person may see beside each other."""
    _, chosen = visit.reader.gettext, tuple(dict.fromkeys(run or ()))
    seen_runs(visit, name)  # whose it is goes before what is wrong with the choice
    if not FEWEST <= len(chosen) <= MOST:
        text = _("Choose {fewest} to {most} runs to compare; {count} were chosen.")
        raise RefusedError(text.format(fewest=FEWEST, most=MOST, count=len(chosen)))
    seen = [seen_run(visit, name, run_id) for run_id in chosen]
    found = compare(seen[0].runs.store, chosen)
    command = commands.line(commands.compare_runs(name, chosen))
    return visit.page(
        ComparePage(
            frame=visit.frame(_("Runs of {name} compared").format(name=name), command=command),
            style=assets.url("runs.css"),
            list_href=f"/environments/{name}/runs",
            runs=tuple(_run(visit.reader, name, each.run_id, found) for each in found.runs),
            settings=tuple(_setting(visit.reader, each) for each in found.settings if each.differs),
            results=tuple(_result(visit.reader, each) for each in found.results),
            alike=", ".join(
                setting_name(visit.reader, each.name) for each in found.settings if not each.differs
            ),
            same_job=found.same_job,
        )
    )


def _run(reader: Reader, environment: str, run_id: str, found: Comparison) -> ComparedRun:
    line = run_line(reader, next(each for each in found.runs if each.run_id == run_id))
    return ComparedRun(id=run_id, href=run_path(environment, run_id), state=line.state, tone=line.tone)


def _setting(reader: Reader, setting: Setting) -> Row:
    nothing = reader.gettext("not set")
    cells = tuple(Cell(text=value or nothing, reach="", best=False) for value in setting.values)
    return Row(label=setting_name(reader, setting.name), cells=cells)


def _result(reader: Reader, result: Result) -> Row:
    cells = tuple(
        _cell(reader, result.name, each, best=at in result.best) for at, each in enumerate(result.figures)
    )
    return Row(label=_result_name(reader, result.name), cells=cells)


def _cell(reader: Reader, name: str, figure: Figure | None, *, best: bool) -> Cell:
    _ = reader.gettext
    if figure is None:
        return Cell(text=_("not told"), reach="", best=False)
    reach = ""
    if figure.low is not None and figure.high is not None:
        reach = _("between {low} and {high}").format(low=f"{figure.low:.4g}", high=f"{figure.high:.4g}")
    if name == "usd":
        return Cell(text=reader.usd(figure.value), reach=reach, best=best)
    if name in ("seconds", "train_seconds"):
        return Cell(text=reader.span(figure.value), reach=reach, best=best)
    return Cell(text=f"{figure.value:.4g}", reach=reach, best=best)


def _result_name(reader: Reader, name: str) -> str:
    _ = reader.gettext
    names = {
        "usd": _("Cost at list price"),
        "seconds": _("From handing in to the end"),
        "train_seconds": _("Time in training"),
        "goodput_percent": _("Time that went into steps that count"),
        "mfu_percent": _("MFU"),
    }
    return names.get(name) or metric_name(reader, name)
