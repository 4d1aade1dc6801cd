"""`POST /uploads/form`: an upload by one plain form, without scripts; it comes whole, or not at all."""

from __future__ import annotations

from contextlib import suppress
from typing import get_args

from fastapi import APIRouter, HTTPException, Request, Response
from starlette.datastructures import UploadFile

from console.pages.upload_files import kept_goal, no_room
from console.pages.upload_seen import require_may_bring
from console.services import Services
from console.uploads import keeper
from console.uploads.keeper import CheckUnderWayError, NoRoomError
from console.uploads.manifest import BroughtFile, Kind, make_manifest
from console.web.large_form import forms_by_sender
from console.web.mistakes import RefusedError
from console.web.sent_form import SentForm
from console.web.visit import AnyVisit, guest_of, see_other
from fleet.policy import teams_of

_AROUND = 2**20
"""Bytes of the form around its files: their names, and what else it says."""


def _most_bytes(request: Request) -> int:
    """Return how much whoever sends the form may bring; nothing for who is not signed in, or may not."""
    signed_in = guest_of(request).signed_in
    if signed_in is None or not teams_of(signed_in.person.grants, "data.upload"):
        return 0
    services: Services = request.app.state.services
    left = keeper.room_left(services, signed_in.person)
    return min(services.settings.uploads.upload_bytes, left) + _AROUND


router = APIRouter(route_class=forms_by_sender(_most_bytes, most_fields=10))


@router.post("/uploads/form")
def send(visit: AnyVisit, sent: SentForm) -> Response:
    """Take the files, have them checked, and lead to the upload's page."""
    require_may_bring(visit)
    _, services = visit.reader.gettext, visit.services
    kind = next((each for each in get_args(Kind) if each == sent.get("kind")), None)
    goal = sent.get("next")
    found = [each for each in sent.getlist("files") if isinstance(each, UploadFile) and each.filename]
    files = [BroughtFile(each.filename or "", each.size or 0) for each in found]
    if kind is None:
        raise HTTPException(422)
    manifest = make_manifest(kind, files, services.settings.uploads)
    try:
        upload_id = keeper.begin(
            services, visit.person, visit.asked_by, manifest, kept_goal(goal if isinstance(goal, str) else "")
        )
    except NoRoomError as error:
        raise RefusedError(no_room(visit.reader, error)) from None
    upload = keeper.find(services, upload_id)
    assert upload is not None, "it has just been begun"
    for number, each in enumerate(found):
        upload.folder.fill(number, each.file)
    with suppress(CheckUnderWayError):  # then the upload's page offers it
        keeper.start_check(services, visit.person, visit.asked_by, upload)
    return see_other(f"/uploads/{upload_id}")
