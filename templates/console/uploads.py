"""The page of the data that somebody has brought, and the form that brings more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Frame, Moment


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What the form that brings files needs (`upload_sender.html.j2`)."""

    script: str
    """URL of what sends them in pieces."""
    upload: str
    """Id of the upload that goes on, "" where a new one is begun."""
    next_page: str
    """Where to go on afterwards, "" to nowhere in particular."""
    kinds: tuple[Choice, ...]
    most: str
    """How much may be brought at once."""


@dataclass(frozen=True, kw_only=True)
class UploadLine:
    """One upload."""

    href: str
    name: str
    kind: str
    state: str
    tone: Tone
    size: str
    began: Moment


@dataclass(frozen=True, kw_only=True)
class UploadsPage:
    """What the page shows."""

    template: ClassVar[str] = "console/uploads.html.j2"

    frame: Frame
    styles: tuple[str, ...]
    """URLs of its stylesheets."""
    sender: Sender
    uploads: tuple[UploadLine, ...]
    room: str
    """How much more the person may bring."""
