"""`/uploads`: bring data of one's own, and what of it there is; `/uploads/UPLOAD`: how one of them stands."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import APIRouter, Query, Response

from console.pages import upload_view
from console.pages.upload_files import kept_goal
from console.pages.upload_seen import AnyUpload, OwnUpload, require_may_bring
from console.store.upload_rows import OPEN
from console.uploads import keeper
from console.uploads.check import SHOWN
from console.uploads.findings import picture, read_findings
from console.uploads.keeper import CheckUnderWayError, Upload
from console.uploads.manifest import Kind
from console.web import assets
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words import said
from fleet import commands
from templates.console.parts import Choice, Notice
from templates.console.problem import Said
from templates.console.upload import UploadPage
from templates.console.uploads import Sender, UploadLine, UploadsPage

router = APIRouter()


@router.get("/uploads")
def show_all(
    visit: AnyVisit, goal: Annotated[str, Query(alias="next", max_length=500)] = "", deleted: bool = False
) -> Response:
    """Show what the person has brought, and the form that brings more."""
    require_may_bring(visit)
    _ = visit.reader.gettext
    notice = Notice(tone="good", text=_("The upload is deleted, and its files with it."))
    page = UploadsPage(
        frame=visit.frame(
            _("Data"), notices=[notice] if deleted else (), command=_command("FOLDER", "pictures")
        ),
        styles=_styles(),
        sender=_sender(visit, next_page=kept_goal(goal)),
        uploads=tuple(_line(visit, each) for each in keeper.of_person(visit.services, visit.person)),
        room=_("There is room for {left} more of yours.").format(
            left=upload_view.size(visit.reader, keeper.room_left(visit.services, visit.person))
        ),
    )
    return visit.page(page)


@router.get("/uploads/{upload_id}")
def show(own: AnyUpload) -> Response:
    """Show how an upload stands, and what the check has found."""
    visit, upload = own.visit, own.upload
    reader, found = visit.reader, read_findings(upload.folder.path)
    name, tone, sentence = upload_view.state(reader, upload)
    report = found.report if found and upload.state in ("ready", "refused") else None
    under_way = upload.act is not None and upload.act.under_way
    is_open = upload.state == OPEN and own.is_here
    page = UploadPage(
        frame=visit.frame(upload.name, command=_command("FOLDER", upload.kind)),
        styles=_styles(),
        here=own.path,
        kind=upload_view.kind_name(reader, upload.kind),
        state=name,
        tone=tone,
        sentence=sentence if own.is_here else own.gone,
        live=under_way,
        began=reader.moment(upload.created_at),
        figures=tuple(upload_view.figures(reader, upload, found if report else None)),
        came=_came(own) if is_open else "",
        sender=_sender(visit, upload) if is_open else None,
        may_check=(upload.broken_off and own.is_here) or (is_open and not _missing(own)),
        trouble=_trouble(upload),
        problems=upload_view.problems(reader, found) if report else (),
        broken=upload_view.broken(reader, report) if report else (),
        more_broken=_more_broken(visit, report.broken_count) if report else "",
        warnings=tuple(said.said(reader, each) for each in report.warnings) if report else (),
        preview=upload_view.preview(reader, upload) if upload.state == "ready" else None,
        go_on=upload_view.goal(upload) if upload.state == "ready" else "",
        may_delete=not under_way,
    )
    return visit.page(page)


@router.post("/uploads/{upload_id}/done")
def check(own: AnyUpload) -> Response:
    """Have it checked, all of it having come."""
    visit, upload = own.visit, own.upload
    _ = visit.reader.gettext
    if upload.state == OPEN or upload.broken_off:
        missing = _missing(own) if upload.state == OPEN else 0
        if missing:
            text = visit.reader.ngettext(
                "{count} file has not come whole yet.", "{count} files have not come whole yet.", missing
            )
            raise RefusedError(text)
        try:
            keeper.start_check(visit.services, visit.person, visit.asked_by, upload)
        except CheckUnderWayError:
            raise RefusedError(_("Another upload of yours is being checked. Wait for its end.")) from None
    return see_other(own.path)


@router.post("/uploads/{upload_id}/delete")
def delete(own: AnyUpload) -> Response:
    """Delete it with all its files."""
    try:
        keeper.delete(own.visit.services, own.visit.asked_by, own.upload)
    except CheckUnderWayError:
        text = own.visit.reader.gettext("It is being checked. Wait for its end, then delete it.")
        raise RefusedError(text) from None
    return see_other("/uploads?deleted=true")


@router.get("/uploads/{upload_id}/pictures/{number}")
def show_picture(own: AnyUpload, number: int) -> Response:
    """Send a picture of the preview: what the check has drawn anew, never a file as it was brought."""
    png = picture(own.upload.folder.path, number) if 0 <= number < SHOWN["pictures"] else None
    if png is None:
        raise NotThereError
    return Response(png, media_type="image/png", headers={"Content-Disposition": "inline"})


def _styles() -> tuple[str, ...]:
    return assets.url("launch.css"), assets.url("uploads.css")  # the former has what a preview is drawn with


def _command(path: str, kind: str) -> str:
    return commands.line(commands.check_data(path, kind))


def _sender(visit: Visit, upload: Upload | None = None, next_page: str = "") -> Sender:
    reader, limits = visit.reader, visit.services.settings.uploads
    _ = reader.gettext
    most = _("Up to {size} and {files} files at once.").format(
        size=upload_view.size(reader, limits.upload_bytes), files=reader.number(limits.files)
    )
    return Sender(
        script=assets.url("upload.js"),
        upload=upload.id if upload else "",
        next_page=next_page,
        kinds=tuple(
            Choice(value=kind, label=upload_view.kind_name(reader, kind), chosen=kind == "pictures")
            for kind in get_args(Kind)
        ),
        most=most,
    )


def _line(visit: Visit, upload: Upload) -> UploadLine:
    name, tone, _sentence = upload_view.state(visit.reader, upload)
    return UploadLine(
        href=f"/uploads/{upload.id}",
        name=upload.name,
        kind=upload_view.kind_name(visit.reader, upload.kind),
        state=name,
        tone=tone,
        size=upload_view.size(visit.reader, upload.bytes),
        began=visit.reader.moment(upload.created_at),
    )


def _missing(own: OwnUpload) -> int:
    """Return how many files have not come whole."""
    files = len(own.manifest.files)  # refused where they are not here any more
    try:
        return own.upload.folder.missing()
    except FileNotFoundError:
        return files


def _came(own: OwnUpload) -> str:
    reader, manifest = own.visit.reader, own.manifest
    try:
        offsets = own.upload.folder.offsets()
    except FileNotFoundError:
        offsets = [0] * len(manifest.files)
    whole = sum(has >= each.size for has, each in zip(offsets, manifest.files, strict=True))
    return reader.gettext("{done} of {all} files have come, {size} of {whole}.").format(
        done=reader.number(whole), all=reader.number(len(manifest.files)),
        size=upload_view.size(reader, sum(offsets)), whole=upload_view.size(reader, manifest.bytes),
    )  # fmt: skip


def _trouble(upload: Upload) -> tuple[Said, ...]:
    """Return what the check itself has failed with."""
    message = str(upload.act.said.get("message", "")) if upload.act and upload.broken_off else ""
    return (Said(what=message, do=""),) if message else ()


def _more_broken(visit: Visit, count: int) -> str:
    more = count - upload_view.MOST_BROKEN
    if more <= 0:
        return ""
    return visit.reader.ngettext("and {count} more", "and {count} more", more)
