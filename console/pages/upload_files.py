"""What the script of the upload page talks to: begin an upload, ask what has come, send a piece of a file."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from console.pages.upload_seen import AnyUpload, OwnUpload, require_may_bring
from console.pages.upload_view import size
from console.store.upload_rows import OPEN
from console.uploads import keeper
from console.uploads.keeper import NoRoomError
from console.uploads.limits import CHUNK_BYTES
from console.uploads.manifest import read_wish
from console.uploads.spool import OffsetError, TooLongError
from console.web.large_form import large_forms
from console.web.mistakes import NotThereError
from console.web.next_page import HOME, safe_path
from console.web.visit import AnyVisit
from console.words import said
from console.words.reader import Reader
from stacks.problems import UserError

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

router = APIRouter(route_class=large_forms(CHUNK_BYTES))


def _body_of(kind: str) -> Callable[[Request], Awaitable[bytes]]:
    """Return what reads a request's body, of one content type alone."""

    async def read(request: Request) -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
            raise HTTPException(415)
        try:
            return await request.body()
        except ClientDisconnect:
            raise HTTPException(400) from None

    return read


@router.post("/uploads")
def begin(visit: AnyVisit, body: Annotated[bytes, Depends(_body_of("application/json"))]) -> Response:
    """Begin an upload of the files whose names and sizes are said."""
    require_may_bring(visit)
    _ = visit.reader.gettext
    try:
        wish = read_wish(body, visit.services.settings.uploads)
        if wish is None:
            return _problems(422, _("Something in this request is missing or malformed."))
        manifest, goal = wish
        upload_id = keeper.begin(visit.services, visit.person, visit.asked_by, manifest, kept_goal(goal))
    except UserError as error:
        told = said.problems(visit.reader, error.problems)
        return _problems(422, *(f"{each.what} ({each.do})" for each in told))
    except NoRoomError as error:
        return _problems(422, no_room(visit.reader, error))
    files = [{"n": number, "offset": 0} for number in range(len(manifest.files))]
    return JSONResponse({"upload": upload_id, "chunk_bytes": CHUNK_BYTES, "files": files}, 201)


@router.get("/uploads/{upload_id}/files")
def files(own: AnyUpload) -> Response:
    """Say what has come of each file."""
    manifest = own.manifest
    told: list[dict[str, Any]] = [
        {"n": number, "path": each.path, "size": each.size, "offset": offset}
        for number, (each, offset) in enumerate(zip(manifest.files, _offsets(own), strict=True))
    ]
    return JSONResponse({"upload": own.upload.id, "chunk_bytes": CHUNK_BYTES, "files": told})


@router.put("/uploads/{upload_id}/files/{number}")
def put(
    own: AnyUpload,
    body: Annotated[bytes, Depends(_body_of("application/octet-stream"))],
    number: int,
    offset: Annotated[int, Query(ge=0)],
    digest: Annotated[str, Header(alias="Digest-SHA256")],
) -> Response:
    """Take a piece of a file, which begins at that offset; 409 with what has come where it does not."""
    _ = own.visit.reader.gettext
    if own.upload.state != OPEN or not 0 <= number < len(own.manifest.files):
        raise NotThereError
    if hashlib.sha256(body).hexdigest() != digest.lower():
        return _problems(422, _("A piece came damaged. It is sent again."), again=True)
    try:
        return JSONResponse({"offset": own.upload.folder.append(number, offset, body)})
    except OffsetError as error:
        return JSONResponse({"offset": error.offset}, 409)
    except TooLongError:
        return _problems(422, _("A file has more in it than was said. It has changed: choose it again."))
    except FileNotFoundError:
        raise NotThereError from None
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        return _problems(507, _("The console's disk is full. Tell whoever runs the console."))


def kept_goal(goal: str) -> str:
    """Return the page to lead to afterwards, "" for none of ours."""
    path = safe_path(goal)
    return "" if path == HOME else path


def no_room(reader: Reader, error: NoRoomError) -> str:
    """Return in words why there is no room."""
    _ = reader.gettext
    left = size(reader, error.left)
    if error.of == "person":
        return _("There is room for {left} more of yours: delete uploads that you need no more.").format(
            left=left
        )
    return _("The console's disk has room for {left} more. Tell whoever runs the console.").format(left=left)


def _offsets(own: OwnUpload) -> list[int]:
    try:
        return own.upload.folder.offsets()
    except FileNotFoundError:  # it is checked by now
        raise NotThereError from None


def _problems(status: int, *texts: str, again: bool = False) -> Response:
    return JSONResponse({"problems": list(texts), "again": again}, status)
