"""The page of one upload: what has come of it, what the check has found, a few items to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.data_preview import DataPreview
from templates.console.home import Figure, Tone
from templates.console.parts import Frame, Moment
from templates.console.phrase import Phrase
from templates.console.problem import Said
from templates.console.uploads import Sender


@dataclass(frozen=True, kw_only=True)
class BrokenLine:
    """One file or row that is left out."""

    file: str
    row: str
    """"" where it is all of the file."""
    what: Phrase


@dataclass(frozen=True, kw_only=True)
class UploadPage:
    """What the page shows."""

    template: ClassVar[str] = "console/upload.html.j2"

    frame: Frame
    styles: tuple[str, ...]
    here: str
    kind: str
    state: str
    tone: Tone
    sentence: str
    live: bool
    """Whether it changes by itself."""
    began: Moment
    figures: tuple[Figure, ...]
    came: str
    """How much of it has come, "" once all has."""
    sender: Sender | None
    """What brings the rest, None where nothing is missing."""
    may_check: bool
    trouble: tuple[Said, ...]
    """What the check itself has failed with."""
    problems: tuple[Said, ...]
    """Why it can't be used."""
    broken: tuple[BrokenLine, ...]
    more_broken: str
    warnings: tuple[Phrase, ...]
    preview: DataPreview | None
    go_on: str
    """Where its person came from, "" from nowhere in particular."""
    may_delete: bool
