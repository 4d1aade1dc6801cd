"""The page on which the first account is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Field, Frame


@dataclass(frozen=True, kw_only=True)
class WelcomePage:
    """What the page shows."""

    template: ClassVar[str] = "console/welcome.html.j2"

    frame: Frame
    token: Field
    name: Field
    login: Field
    password: Field
    password_hint: str
