"""What is sent must be text that can be kept: no other codec than UTF-8, no half of a character, no NUL."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.exceptions import HTTPException

from console.web.same_origin import SAFE

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_FIELDS = 1000
"""Of a form whose route says nothing else (console/web/large_form.py): each is held in memory."""
_UTF_8 = re.compile(r';\s*charset="?utf-?8"?\s*(?=;|$)')
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")
"""No UTF-8 has lone surrogates, and no text of PostgreSQL has NUL."""


async def checked_text(request: Request) -> AsyncIterator[None]:
    """Raise HTTPException where a path (404), a query or a form (400) can't be kept as it is.

    Browsers send forms in UTF-8, as our pages are. Who names another codec chooses how Python decodes it, and
    some of its codecs make text of it that nothing behind can write. The form is closed behind the answer.
    """
    if _UNKEEPABLE.search(request.scope["path"]):
        raise HTTPException(404)
    if b"%00" in request.scope["query_string"]:
        raise HTTPException(400)
    kind = request.headers.get("content-type", "").lower()
    if request.method in SAFE or not kind.startswith(FORMS):
        yield
        return
    if "charset" in _UTF_8.sub("", kind):
        raise HTTPException(400)
    form = await request.form(max_fields=getattr(request.state, "most_fields", _MOST_FIELDS))
    try:
        for name, value in form.multi_items():
            if _UNKEEPABLE.search(name) or (isinstance(value, str) and _UNKEEPABLE.search(value)):
                raise HTTPException(400)
        yield
    finally:  # files that no page has asked for, too
        await form.close()
