"""What the steps of a launch share: the person's own draft, the list of steps, and data in words."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Response

from console import launches
from console.launch_data import ChosenData
from console.launches import LaunchDraft
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import Visit, see_other
from console.words.reader import Reader
from console.words.said import said
from fleet.policy import EVERY_TEAM, teams_of
from fleet.recipe_forms import form_of
from templates.console.launch import Step
from templates.console.phrase import Phrase

PLACE, DATA, RECIPE, REVIEW = "place", "data", "recipe", "review"


def style() -> str:
    """Return the URL of the stylesheet that these pages have beside the common one."""
    return assets.url("launch.css")


def may_launch(visit: Visit) -> bool:
    """Return whether there is a team for which the person may train."""
    return bool(teams_of(visit.person.grants, "run.submit"))


def require_launch(visit: Visit) -> None:
    """Raise NotAllowedError, or NotThereError for who may see nothing, where `may_launch` says no."""
    if not may_launch(visit):
        visit.require("run.submit", [grant.team for grant in visit.person.grants] or [EVERY_TEAM])


def own_draft(visit: Visit, draft_id: str) -> LaunchDraft:
    """Return the person's draft of that id; raises NotThereError for any other, on record for somebody's."""
    with visit.services.database.reading() as database:
        draft = launches.find(database, draft_id)
    if draft is None:
        raise NotThereError
    if draft.person != visit.person.id:
        details = {"verb": "run.submit", "path": visit.request.url.path[:200]}
        visit.services.recorder.record(visit.asked_by, "console.refuse", "run.submit", "refused", details)
        raise NotThereError
    visit.require("run.submit", draft.team)
    return draft


def step_path(draft: LaunchDraft, step: str) -> str:
    """Return the path of one of a draft's pages."""
    return f"/launch/{draft.id}/{step}"


def elsewhere(draft: LaunchDraft, step: str) -> Response | None:
    """Return an answer that leads to where the draft is, None where that step can be shown.

    One that was started is an act; a step needs what those before it have chosen.
    """
    if draft.act:
        return see_other(f"/acts/{draft.act}")
    has_data = bool(draft.known or draft.upload)
    if step in (RECIPE, REVIEW) and not has_data:
        return see_other(step_path(draft, DATA))
    if step == REVIEW and not draft.want:
        return see_other(step_path(draft, RECIPE))
    return None


def steps(reader: Reader, draft: LaunchDraft | None, current: str) -> tuple[Step, ...]:
    """Return the steps with where each is, as far as one can go."""
    _ = reader.gettext
    labels = {PLACE: _("Where"), DATA: _("Data"), RECIPE: _("What"), REVIEW: _("Review")}
    open_ = {
        PLACE: draft is not None,
        DATA: draft is not None,
        RECIPE: draft is not None and bool(draft.known or draft.upload),
        REVIEW: draft is not None and bool(draft.want),
    }
    return tuple(
        Step(
            label=label,
            href=step_path(draft, step) if draft is not None and open_[step] else "",
            current=step == current,
        )
        for step, label in labels.items()
    )


def set_title(reader: Reader, name: str) -> str:
    """Return what a bundled data set is called."""
    _ = reader.gettext
    titles = {
        "digits": _("Handwritten digits"),
        "breast_cancer": _("Breast tumours"),
        "diabetes": _("Diabetes"),
        "iris": _("Iris flowers"),
        "wine": _("Wines"),
        "python_packages": _("Pieces of programs, by what they are for"),
        "python_source_bpe": _("Source text of Python"),
    }
    return titles.get(name, name)


def data_title(reader: Reader, data: ChosenData) -> str:
    """Return what the data of a launch is called."""
    return set_title(reader, data.name) if data.is_known else data.name


def want_title(reader: Reader, want: str) -> Phrase:
    """Return what is wanted."""
    return said(reader, form_of(want).title)


def plain(lines: Sequence[str]) -> tuple[Phrase, ...]:
    """Return texts that are in the reader's language already."""
    return tuple(Phrase(text=line, language="") for line in lines)
