"""The console as an app: its routes, and what stands between them and whoever asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from console.chores import chores
from console.pages.routes import ROUTERS
from console.services import Services
from console.web import answers
from console.web.form_token import checked_form
from console.web.headers import Headers
from console.web.peer import Peer
from console.web.plain_text import checked_text
from console.web.same_origin import SameOrigin
from console.web.troubles import Troubles

FORM_BYTES = 64 * 1024
"""What an ordinary form may have; a route that takes more says so itself."""


def create_app(services: Services) -> FastAPI:
    """Return the app over parts that are open; it closes the database when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with chores(services):
            yield
        services.answerers.close()
        services.database.close()

    settings = services.settings
    app = FastAPI(
        title="fleetform",
        openapi_url=None,  # pages for people: no schema, and none of the pages that would load scripts for it
        redirect_slashes=False,
        lifespan=lifespan,
        dependencies=[Depends(checked_text), Depends(checked_form)],
        middleware=[
            Middleware(Peer, proxies=settings.proxies),
            Middleware(Headers, secure=settings.secure),
            Middleware(SameOrigin, public_url=settings.public_url, public_host=settings.public_host),
            Middleware(Troubles),
            Middleware(RequestBodyLimitMiddleware, max_body_size=FORM_BYTES),
        ],
    )
    app.state.services = services
    answers.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
