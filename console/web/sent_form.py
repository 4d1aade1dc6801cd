"""A form that was sent, whatever fields it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import FormData


async def _sent(request: Request) -> AsyncIterator[FormData]:
    """Give the form, with its files, which are closed behind it."""
    form = await request.form()
    try:
        yield form
    finally:
        await form.close()


SentForm = Annotated[FormData, Depends(_sent)]
"""What a page asks for whose fields go by what it is about."""
