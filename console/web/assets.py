"""The files that pages load: each under its digest, so that browsers keep it and never an old one."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Response

from console.web.mistakes import NotThereError

FOLDER = Path(__file__).parents[1] / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""What is served, and as what; everything else in the folder is not."""
_FOR_EVER = "public, max-age=31536000, immutable"

router = APIRouter()


@cache
def _files() -> dict[str, tuple[str, bytes]]:
    """Return the digest and the bytes of each file by its name below the folder."""
    found = {}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in TYPES:
            data = path.read_bytes()
            found[path.relative_to(FOLDER).as_posix()] = (hashlib.sha256(data).hexdigest()[:16], data)
    return found


def url(name: str) -> str:
    """Return the URL of a file by its name in `console/static/`."""
    return f"/static/{_files()[name][0]}/{name}"


@router.get("/static/{digest}/{name:path}")
def show(digest: str, name: str) -> Response:
    """Answer with a file; one of another digest is not there any more."""
    known = _files().get(name)
    if known is None or known[0] != digest:
        raise NotThereError
    return Response(known[1], media_type=TYPES[Path(name).suffix], headers={"Cache-Control": _FOR_EVER})
