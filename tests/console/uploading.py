"""What tests of uploads share: somebody's browser that sends files as the page's script does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx2

from console.uploads import keeper
from console.uploads.keeper import Upload
from tests.console.lab import OURS, ConsoleLab, Visitor
from tests.sandbox_helpers import wait_for

PIECE = 4096


def headers(visitor: Visitor) -> dict[str, str]:
    """Return what a script of our own page sends with every request."""
    return {**OURS, "X-Form-Token": visitor.token("/me")}


def wish(visitor: Visitor, kind: str, sizes: Mapping[str, int], **more: Any) -> httpx2.Response:
    """Ask for an upload of files with these names and sizes."""
    files = [{"path": path, "size": size} for path, size in sizes.items()]
    asked = {"kind": kind, "files": files, **more}
    return visitor.client.post("/uploads", json=asked, headers=headers(visitor))


def begin(visitor: Visitor, kind: str, files: Mapping[str, bytes], **more: Any) -> str:
    """Begin an upload and return its id."""
    answer = wish(visitor, kind, {path: len(body) for path, body in files.items()}, **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload"])


def put(
    visitor: Visitor, upload_id: str, number: int, offset: object, body: bytes, **changed: str
) -> httpx2.Response:
    """Send a piece of a file."""
    sent = {
        **headers(visitor),
        "Content-Type": "application/octet-stream",
        "Digest-SHA256": hashlib.sha256(body).hexdigest(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    path = f"/uploads/{upload_id}/files/{number}"
    return visitor.client.put(path, params={"offset": str(offset)}, content=body, headers=sent)


def send(visitor: Visitor, upload_id: str, files: Mapping[str, bytes]) -> None:
    """Send all files from where they are on, in pieces."""
    told = visitor.get(f"/uploads/{upload_id}/files").json()["files"]
    for each in told:
        body, offset = files[each["path"]], each["offset"]
        while offset < len(body):
            answer = put(visitor, upload_id, each["n"], offset, body[offset : offset + PIECE])
            assert answer.status_code == 200, answer.text
            offset = answer.json()["offset"]


def done(visitor: Visitor, upload_id: str) -> httpx2.Response:
    """Have it checked."""
    return visitor.post(f"/uploads/{upload_id}/done", {}, page="/me")


def by_form(visitor: Visitor, kind: str, files: Mapping[str, bytes], **more: str) -> httpx2.Response:
    """Send files as a browser without scripts does."""
    form = {"form_token": visitor.token("/me"), "kind": kind, **more}
    parts = [("files", (name, body, "application/octet-stream")) for name, body in files.items()]
    return visitor.client.post("/uploads/form", data=form, files=parts, headers=OURS)


def standing(lab: ConsoleLab, upload_id: str) -> Upload:
    """Return an upload as it stands."""
    found = keeper.find(lab.services, upload_id)
    assert found is not None
    return found


def checked(lab: ConsoleLab, upload_id: str) -> Upload:
    """Return an upload once its check is over."""

    def is_over() -> bool:
        found = standing(lab, upload_id)
        return found.state in ("ready", "refused") or found.broken_off

    wait_for(is_over, 120)
    return standing(lab, upload_id)
