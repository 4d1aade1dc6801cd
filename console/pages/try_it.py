"""`/environments/NAME/runs/RUN/try`: show a run's model something, and see what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Response
from starlette.datastructures import FormData, UploadFile

from console.pages.model_seen import model_config
from console.pages.seen import SeenRun, seen_run
from console.web.large_form import large_forms
from console.web.sent_form import SentForm
from console.web.visit import AnyVisit, Visit
from console.words.reader import Reader
from console.words.said import said
from fleet import commands
from fleet.model_copy import bring_model
from fleet.tries import Answer
from fleet.try_form import TryField, input_of, try_form
from stacks.problems import Problem, UserError
from templates.console.parts import Choice
from templates.console.try_it import TryAnswer, TryInput, TryPage

MOST_BYTES = 16 * 2**20
"""Of what is sent: a photograph has a few million."""
MOST_CLASSES = 10
_LONGEST_TEXT = 100_000

router = APIRouter(route_class=large_forms(MOST_BYTES))


@router.get("/environments/{name}/runs/{run_id}/try")
def show(visit: AnyVisit, name: str, run_id: str) -> Response:
    """Show what the model wants to know."""
    seen = seen_run(visit, name, run_id)
    visit.require("model.try", seen.team)
    return visit.page(_page(visit, seen, try_form(model_config(visit, seen)), {}))


@router.post("/environments/{name}/runs/{run_id}/try")
def ask(visit: AnyVisit, name: str, run_id: str, sent: SentForm) -> Response:
    """Ask the model, and show its answer above the same form."""
    seen = seen_run(visit, name, run_id)
    visit.require("model.try", seen.team)
    fields = try_form(model_config(visit, seen))
    given = _given(fields, sent)
    try:
        asked = input_of(fields, given)
        target = {"environment": name}
        visit.services.recorder.record(visit.asked_by, "model.try", run_id, "recorded", target)
        answerer = visit.services.answerers.of(f"{name}/{run_id}", lambda: _model(visit, seen))
        answer = answerer.ask([asked])[0]
    except UserError as error:
        return visit.page(_page(visit, seen, fields, given, faults=error.problems), 422)
    return visit.page(_page(visit, seen, fields, given, answer=_answer(visit.reader, answer)))


def _model(visit: Visit, seen: SeenRun) -> Any:
    return bring_model(visit.services.settings.project, seen.runs.store, seen.run.run_id)


def _given(fields: tuple[TryField, ...], sent: FormData) -> Mapping[str, str | bytes]:
    """Return what was filled in, by the fields' names; the form itself has their numbers."""
    given: dict[str, str | bytes] = {}
    for number, field in enumerate(fields):
        value = sent.get(f"in-{number}")
        if isinstance(value, UploadFile) and field.kind == "picture":
            given[field.name] = value.file.read()
        elif isinstance(value, str) and field.kind != "picture":
            given[field.name] = value[:_LONGEST_TEXT]
    return given


def _page(
    visit: Visit,
    seen: SeenRun,
    fields: tuple[TryField, ...],
    given: Mapping[str, str | bytes],
    *,
    answer: TryAnswer | None = None,
    faults: Sequence[Problem] = (),
) -> TryPage:
    reader = visit.reader
    return TryPage(
        frame=visit.frame(
            reader.gettext("Try the model of {run}").format(run=seen.run.run_id),
            command=commands.line(commands.try_model(seen.standing.name, seen.run.run_id)),
        ),
        here=f"{seen.path}/try",
        run_href=seen.path,
        card_href=f"{seen.path}/card" if visit.may("model.take", seen.team) else "",
        inputs=tuple(
            _input(reader, f"in-{number}", field, given.get(field.name, ""))
            for number, field in enumerate(fields)
        ),
        answer=answer,
        faults=tuple(said(reader, each.what) for each in faults),
    )


def _input(reader: Reader, name: str, field: TryField, value: str | bytes) -> TryInput:
    text = value if isinstance(value, str) else ""
    return TryInput(
        name=name,
        label=_label(reader, field),
        kind=field.kind,
        value=text,
        choices=tuple(
            Choice(value=each, label=each or reader.gettext("(empty)"), chosen=each == text)
            for each in ("", *field.choices)
        )
        if field.kind == "choice"
        else (),
        hint=_hint(reader, field),
        required=field.required,
    )


def _label(reader: Reader, field: TryField) -> str:
    """Return what a field is called; a table's columns have names of their own."""
    _ = reader.gettext
    names = {"picture": _("Picture"), "text": _("Text"), "prompt": _("Beginning of the text")}
    drawing = {"length": _("Length, tokens"), "temperature": _("Temperature"), "seed": _("Seed")}
    return {**names, **drawing}.get(field.name, field.name)


def _hint(reader: Reader, field: TryField) -> str:
    _ = reader.gettext
    if field.kind == "picture":
        return _("JPEG, PNG, WebP, BMP, GIF or TIFF, up to {size} MB").format(size=MOST_BYTES // 2**20 - 1)
    if field.kind == "number" and field.low is not None and field.high is not None:
        text = _("{low} to {high}, for example {example}")
        return text.format(low=f"{field.low:.4g}", high=f"{field.high:.4g}", example=field.example)
    return ""


def _answer(reader: Reader, answer: Answer) -> TryAnswer:
    """Return an answer in words."""
    _, notes = reader.gettext, tuple(map(str, answer.get("notes", ())))
    if "class" in answer:
        shares = list(answer["probabilities"].items())[:MOST_CLASSES]
        rows = tuple((name, f"{100 * share:.1f} %") for name, share in shares)
        return TryAnswer(said=str(answer["class"]), rows=rows, text="", notes=notes)
    if "number" in answer:
        rows = ()
        if "low" in answer:
            span = _("{low} to {high}").format(low=f"{answer['low']:.5g}", high=f"{answer['high']:.5g}")
            share = _("In {share} % of cases").format(share=f"{100 * answer['interval_share']:.0f}")
            rows = ((share, span),)
        return TryAnswer(said=f"{answer['number']:.6g}", rows=rows, text="", notes=notes)
    return TryAnswer(said="", rows=(), text=str(answer["text"]), notes=notes)
