"""The data of a launch: a bundled set or an upload of the person's own, and what can be learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from console.launches import LaunchDraft
from console.people.accounts import Person
from console.services import Services
from console.uploads.limits import UploadLimits
from console.uploads.ready import ReadyUpload, ready
from fleet.data_check import DataLimits, DataReport, check, read_settings
from fleet.data_preview import Preview, preview_known
from fleet.recipe_forms import forms
from fleet.recipe_knobs import FormData, RecipeForm

SHOWN = 12
"""Items of a bundled set that are shown."""


@dataclass(frozen=True, kw_only=True)
class ChosenData:
    """Data that can be learned from."""

    name: str
    """A bundled set's, or what the person calls their own."""
    kind: str
    """`pictures`, `table` or `text`."""
    preview: Preview
    path: str
    """Where it lies on this machine, "" for a bundled set."""
    items: int
    """How many there are to train on, as far as it is known before anything is chosen."""
    tokens: int
    """The same of a text's tokens, 0 of others."""

    @property
    def is_known(self) -> bool:
        """Whether it is a bundled set."""
        return not self.path

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns, none where it is no table."""
        return tuple(column.name for column in self.preview.columns)

    @property
    def no_targets(self) -> frozenset[str]:
        """Those of its columns that nothing can be learned to predict, by the rows that were looked at."""
        return frozenset(column.name for column in self.preview.columns if not column.target)

    def form_data(self, form: RecipeForm, items: int = 0) -> FormData:
        """Return it as a form is filled in for; `items` where a closer look has counted them."""
        count = items or (self.tokens if form.items == "tokens" else self.items)
        known = self.name if self.is_known else ""
        return FormData(items=count, path=self.path, known=known, columns=self.columns)


@cache
def look_at_known(name: str) -> Preview:
    """Return a few items of a bundled set, which is the same for as long as the console lives."""
    return preview_known(name, SHOWN)


def known_names() -> list[str]:
    """Return the bundled sets that something can be learned from here."""
    return list(dict.fromkeys(name for form in forms() for name in form.known))


def chosen_data(services: Services, draft: LaunchDraft, person: Person) -> ChosenData | None:
    """Return what the launch learns from, None where nothing is chosen or it is not there any more."""
    if draft.known in known_names():
        return known_data(draft.known)
    found = ready(services, draft.upload, person) if draft.upload else None
    return own_data(found) if found else None


def known_data(name: str) -> ChosenData:
    """Return a bundled set."""
    shown = look_at_known(name)
    tokens = 0 if shown.classes or shown.columns else shown.train
    return ChosenData(name=name, kind=shown.kind, preview=shown, path="", items=shown.train, tokens=tokens)


def own_data(found: ReadyUpload) -> ChosenData:
    """Return what somebody has brought."""
    return ChosenData(
        name=found.name,
        kind=found.kind,
        preview=found.preview,
        path=str(found.path),
        items=found.report.items.get("train", found.items),
        tokens=found.report.tokens.get("train", 0),
    )


def wants_of(data: ChosenData) -> tuple[RecipeForm, ...]:
    """Return what can be wanted of the data, in the order in which people are asked."""
    if data.is_known:
        return tuple(form for form in forms() if data.name in form.known)
    return tuple(form for form in forms() if form.data_kind == data.kind and _has_columns(form, data))


def _has_columns(form: RecipeForm, data: ChosenData) -> bool:
    """Return whether the data has columns, where the form cannot do without."""
    return bool(data.columns) or not any(knob.kind == "column" and knob.required for knob in form.knobs)


def look_closer(data: ChosenData, overrides: Sequence[str], limits: UploadLimits) -> DataReport | None:
    """Check the person's table or texts again with the chosen columns; None where nothing hangs on them.

    `overrides` are the recipe's `key=value`s.
    """
    if data.is_known or data.kind == "pictures" or not data.columns:
        return None
    chosen = [each.removeprefix("data.") for each in overrides if each.startswith("data.")]
    settings = read_settings([each for each in chosen if not each.startswith(("kind=", "path="))])
    return check(
        Path(data.path),
        data.kind,
        DataLimits(files=limits.files, bytes=limits.upload_bytes),
        settings,
    )
