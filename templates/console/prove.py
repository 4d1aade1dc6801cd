"""The page on which somebody who is signed in proves who they are again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class ProvePage:
    """What the page shows."""

    template: ClassVar[str] = "console/prove.html.j2"

    frame: Frame
    fault: str
    """Why it did not work, "" at first."""
    next_page: str
    by_company: str
    """Where whom the company's provider vouches for proves it, "" for an account with a password."""
