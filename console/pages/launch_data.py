"""`/launch/DRAFT/data`: the second step of a launch: known data or one's own, with a few items of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Response

from console import launches
from console.launch_data import ChosenData, known_data, known_names, look_at_known, own_data
from console.launches import LaunchDraft
from console.pages import launch_seen
from console.pages.launch_seen import DATA, RECIPE, own_draft, set_title, step_path
from console.uploads.ready import ReadyUpload, ready, ready_ones
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words.reader import Reader
from console.words.said import said
from fleet import commands
from fleet.data_preview import Preview
from fleet.recipe_forms import forms
from templates.console.data_preview import DataPreview, PreviewPicture, PreviewText
from templates.console.launch_data import LaunchDataPage, SetLine

ROWS, COLUMNS, TEXTS = 10, 40, 5
"""Rows, columns and texts of data that are shown."""

Name = Annotated[str, Query(max_length=60)]
Sent = Annotated[str, Form(max_length=60)]

router = APIRouter()


@router.get("/launch/{draft_id}/data")
def show(visit: AnyVisit, draft_id: str, known: Name = "", upload: Name = "") -> Response:
    """Show the data that there is, and some of what is asked for, or else of what was chosen."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, DATA):
        return answer
    if not known and not upload:
        known, upload = draft.known, draft.upload
    return visit.page(_page(visit, draft, known if known in known_names() else "", upload))


@router.post("/launch/{draft_id}/data")
def choose(visit: AnyVisit, draft_id: str, known: Sent = "", upload: Sent = "") -> Response:
    """Choose data; what was wanted of other data is forgotten."""
    draft = own_draft(visit, draft_id)
    if answer := launch_seen.elsewhere(draft, DATA):
        return answer
    is_there = known in known_names() if known else bool(ready(visit.services, upload, visit.person))
    if not is_there:
        raise RefusedError(visit.reader.gettext("This data is not there any more. Choose other data."))
    upload = "" if known else upload
    if (known, upload) != (draft.known, draft.upload):
        with launches.changing(visit.services.database, draft.id) as changing:
            changing.choose(known=known, upload=upload, want="", values={}, items=0)
    return see_other(step_path(draft, RECIPE))


@router.get("/known/{name}/pictures/{number}")
def picture(visit: AnyVisit, name: str, number: int) -> Response:
    """Send one of the pictures of a bundled set, made small."""
    found = look_at_known(name).pictures if name in known_names() else ()
    if not 0 <= number < len(found):
        raise NotThereError
    return Response(found[number].png, media_type="image/png")


def _page(visit: Visit, draft: LaunchDraft, known: str, upload: str) -> LaunchDataPage:
    _, reader = visit.reader.gettext, visit.reader
    own = ready_ones(visit.services, visit.person)
    chosen = next((each for each in own if each.id == upload), None) if not known else None
    preview, command = None, ""
    if known:
        pictures = f"/known/{known}/pictures"
        preview = preview_of(reader, known_data(known), set_title(reader, known), pictures)
        command = commands.line(commands.show_known(known))
    elif chosen:
        preview = preview_of(reader, own_data(chosen), chosen.name, f"/uploads/{chosen.id}/pictures")
        command = commands.line(commands.check_data(str(chosen.path), chosen.kind))
    here = step_path(draft, DATA)
    return LaunchDataPage(
        frame=visit.frame(_("The data to learn from"), command=command),
        steps=launch_seen.steps(reader, draft, DATA),
        here=here,
        own=tuple(_own_lines(reader, own, here, chosen)),
        bring_href=f"/uploads?{urlencode({'next': here})}" if visit.may("data.upload", draft.team) else "",
        known=tuple(_known_lines(reader, here, known)),
        preview=preview,
        field="known" if known else "upload",
        value=known or upload,
        style=launch_seen.style(),
    )


def _own_lines(
    reader: Reader, own: tuple[ReadyUpload, ...], here: str, chosen: ReadyUpload | None
) -> Iterator[SetLine]:
    for each in own:
        yield SetLine(
            title=each.name,
            text=_count(reader, each.kind, each.items, text_is_counted=True),
            href=f"{here}?{urlencode({'upload': each.id})}",
            current=chosen is not None and each.id == chosen.id,
        )


def _known_lines(reader: Reader, here: str, known: str) -> Iterator[SetLine]:
    for name in known_names():
        titles = [said(reader, form.title).text for form in forms() if name in form.known]
        yield SetLine(
            title=set_title(reader, name),
            text=reader.gettext("For: {wants}").format(wants=", ".join(titles)),
            href=f"{here}?{urlencode({'known': name})}",
            current=name == known,
        )


def _count(reader: Reader, kind: str, items: int, *, text_is_counted: bool) -> str:
    """Return how much there is in words."""
    if kind == "pictures":
        return reader.ngettext("{count} picture", "{count} pictures", items)
    if kind == "table":
        return reader.ngettext("{count} row", "{count} rows", items)
    if text_is_counted:
        return reader.ngettext("{count} text", "{count} texts", items)
    return reader.ngettext("{count} token to learn from", "{count} tokens to learn from", items)


# ------------------------------------------------------------------------------ the preview


def preview_of(reader: Reader, data: ChosenData, title: str, pictures: str) -> DataPreview:
    """Return a few items of the data; `pictures` is the path below which small ones are."""
    shown, columns = data.preview, tuple(column.name for column in data.preview.columns)[:COLUMNS]
    _ = reader.gettext
    about = [_count(reader, data.kind, _all(data), text_is_counted=not data.tokens)]
    if len(columns) < len(shown.columns):
        about.append(
            _("The first {shown} of {all} columns").format(shown=len(columns), all=len(shown.columns))
        )
    if shown.source:
        about.append(_("From: {source}").format(source=shown.source))
    return DataPreview(
        title=title,
        about=tuple(about),
        classes=tuple((name, reader.number(count)) for name, count in shown.classes.items()),
        pictures=tuple(
            PreviewPicture(src=f"{pictures}/{number}", label=picture.label)
            for number, picture in enumerate(shown.pictures)
            if picture.png
        ),
        columns=columns,
        target=shown.target,
        rows=tuple(_row(row, columns) for row in shown.rows[:ROWS]),
        texts=tuple(PreviewText(label=text.label, text=text.text) for text in shown.texts[:TEXTS]),
        warnings=tuple(_broken(shown)),
    )


def _all(data: ChosenData) -> int:
    """Return how many items there are, those that are held out too where that is known."""
    shown = data.preview
    return sum(shown.classes.values()) or shown.rows_seen or data.tokens or data.items


def _row(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("" if row.get(name) is None else str(row[name]) for name in columns)


def _broken(shown: Preview) -> Iterator[str]:
    """Yield what is left out, in the trainer's words."""
    for each in shown.broken:
        where = each.file if each.row is None else f"{each.file}, row {each.row}"
        yield f"{where}: {each.what}"
