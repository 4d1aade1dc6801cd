"""`/launch/DRAFT/recipe`: the third step of a launch: what is wanted, and the knobs that matter for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.datastructures import FormData

from console import launches
from console.launch_data import ChosenData, chosen_data, look_closer, wants_of
from console.launches import LaunchDraft
from console.pages import launch_seen
from console.pages.launch_seen import DATA, RECIPE, REVIEW, own_draft, step_path
from console.web.mistakes import RefusedError
from console.web.sent_form import SentForm
from console.web.visit import AnyVisit, Visit, see_other
from console.words import said
from console.words.reader import Reader
from fleet import commands
from fleet.recipe_forms import overrides
from fleet.recipe_knobs import Knob, RecipeForm
from stacks.problems import Problem, UserError
from templates.console.launch_recipe import KnobChoice, KnobField, LaunchRecipePage, WantLine
from templates.console.phrase import Phrase

Values = Mapping[str, str | tuple[str, ...]]
_LONGEST, _MOST = 200, 2000
"""Characters of a value, and values of a knob, that are taken."""

_TARGET = "data.target"

router = APIRouter()


@dataclass(frozen=True)
class Wrong:
    """What is wrong with what was filled in."""

    problems: tuple[Problem, ...] = ()

    def at(self, knob: str) -> Problem | None:
        """Return what is wrong at a knob, None for nothing."""
        return next((each for each in self.problems if each.path == knob), None)

    def elsewhere(self, knobs: Sequence[Knob]) -> tuple[Problem, ...]:
        """Return what is wrong at none of the knobs."""
        keys = {knob.key for knob in knobs}
        return tuple(each for each in self.problems if each.path not in keys)


@dataclass(frozen=True)
class _Shown:
    """A form as it stands: what is wanted, what was filled in, what is wrong with it."""

    form: RecipeForm | None
    values: Values = field(default_factory=dict)
    wrong: Wrong = Wrong()


@router.get("/launch/{draft_id}/recipe")
def show(visit: AnyVisit, draft_id: str, want: Annotated[str, Query(max_length=60)] = "") -> Response:
    """Show what can be wanted of the data, and the knobs of what is."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, RECIPE):
        return answer
    data = _data(visit, draft)
    if data is None:
        return see_other(step_path(draft, DATA))
    wants = wants_of(data)
    only = wants[0].key if len(wants) == 1 else ""
    key = want or draft.want or only
    form = next((each for each in wants if each.key == key), None)
    return visit.page(_page(visit, draft, data, _Shown(form, draft.values if key == draft.want else {})))


@router.post("/launch/{draft_id}/recipe")
def choose(visit: AnyVisit, draft_id: str, sent: SentForm) -> Response:
    """Take what was filled in, where it is right, and lead on to the review."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, RECIPE):
        return answer
    data = _data(visit, draft)
    if data is None:
        return see_other(step_path(draft, DATA))
    form = next((each for each in wants_of(data) if each.key == sent.get("want")), None)
    if form is None:
        raise RefusedError(
            visit.reader.gettext("This can't be learned from this data. Choose something else.")
        )
    values = _values(form.knobs_for(data.form_data(form)), sent)
    try:
        items = _checked(visit, form, values, data)
    except UserError as error:
        return visit.page(_page(visit, draft, data, _Shown(form, values, Wrong(error.problems))), 422)
    with launches.changing(visit.services.database, draft.id) as changing:
        changing.choose(want=form.key, values=values, items=items)
    return see_other(step_path(draft, REVIEW))


def _data(visit: Visit, draft: LaunchDraft) -> ChosenData | None:
    return chosen_data(visit.services, draft, visit.person)


def _values(knobs: Sequence[Knob], sent: FormData) -> dict[str, str | tuple[str, ...]]:
    """Return what was filled in, by the knobs' keys."""
    values: dict[str, str | tuple[str, ...]] = {}
    for knob in knobs:
        given = [each[:_LONGEST] for each in sent.getlist(_name(knob))[:_MOST] if isinstance(each, str)]
        values[knob.key] = tuple(given) if knob.kind == "columns" else next(iter(given), "")
    return values


def _checked(visit: Visit, form: RecipeForm, values: Values, data: ChosenData) -> int:
    """Return how many items are trained on; raises UserError with all that is wrong with the values."""
    found = overrides(form, values, data.form_data(form))
    report = look_closer(data, found, visit.services.settings.uploads)
    if report is None:
        return 0
    if report.problems:
        raise UserError(report.problems)
    counted = report.tokens if form.items == "tokens" else report.items
    return counted.get("train", 0)


# ------------------------------------------------------------------------------ the page


def _page(visit: Visit, draft: LaunchDraft, data: ChosenData, shown: _Shown) -> LaunchRecipePage:
    _, reader, form = visit.reader.gettext, visit.reader, shown.form
    here = step_path(draft, RECIPE)
    knobs = form.knobs_for(data.form_data(form)) if form else ()
    return LaunchRecipePage(
        frame=visit.frame(_("What it is to learn"), command=_command(draft, form)),
        steps=launch_seen.steps(reader, draft, RECIPE),
        here=here,
        data=launch_seen.data_title(reader, data),
        wants=tuple(
            WantLine(
                title=said.said(reader, each.title),
                text=said.said(reader, each.text),
                href=f"{here}?want={each.key}",
                current=each is form,
            )
            for each in wants_of(data)
        ),
        want=form.key if form else "",
        knobs=tuple(_field(reader, knob, shown, data) for knob in knobs),
        said=said.problems(reader, shown.wrong.elsewhere(knobs)),
        style=launch_seen.style(),
    )


def _command(draft: LaunchDraft, form: RecipeForm | None) -> str:
    """Return the command that trains it as the form stands before anything is filled in."""
    return commands.line(commands.submit_recipe(draft.environment, form.recipe)) if form else ""


def _name(knob: Knob) -> str:
    return f"knob-{knob.key}"


def _field(reader: Reader, knob: Knob, shown: _Shown, data: ChosenData) -> KnobField:
    value = shown.values.get(knob.key, str(knob.default))
    problem = shown.wrong.at(knob.key)
    chosen = (value,) if isinstance(value, str) else value
    return KnobField(
        name=_name(knob),
        kind="columns" if knob.kind == "columns" else "whole" if knob.kind == "whole" else "choice",
        label=said.said(reader, knob.label),
        why=said.said(reader, knob.why),
        unit=said.said(reader, knob.unit) if knob.unit else None,
        value=value if isinstance(value, str) else "",
        low=knob.low,
        high=knob.high,
        choices=tuple(_choices(reader, knob, chosen, data)),
        fault=_fault(reader, problem) if problem else None,
    )


def _choices(reader: Reader, knob: Knob, chosen: Sequence[str], data: ChosenData) -> Iterator[KnobChoice]:
    """Yield the values that a knob can have; the columns' names are the data's own."""
    for choice in knob.choices:
        label = said.said(reader, choice.label)
        yield KnobChoice(value=choice.value, label=label, chosen=choice.value in chosen)
    if knob.kind == "column":
        label = Phrase(
            text=reader.gettext("(choose)") if knob.required else reader.gettext("(none)"), language=""
        )
        yield KnobChoice(value="", label=label, chosen="" in chosen)
    if knob.kind in ("column", "columns"):
        for name in data.columns:
            text = name
            if knob.setting == _TARGET and name in data.no_targets:
                text = reader.gettext("{column} (can't be predicted)").format(column=name)
            yield KnobChoice(value=name, label=Phrase(text=text, language=""), chosen=name in chosen)


def _fault(reader: Reader, problem: Problem) -> Phrase:
    """Return what is wrong with a knob in one sentence with what to do."""
    what, do = said.said(reader, problem.what), said.said(reader, problem.do)
    return Phrase(text=f"{what.text}: {do.text}", language=what.language or do.language)
