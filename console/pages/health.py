"""`/health`: whether the console and its database answer, for whatever watches over it."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

router = APIRouter()


@router.get("/health")
def show(request: Request) -> Response:
    """Answer 204 where the database answers."""
    request.app.state.services.database.ping()
    return Response(status_code=204)
