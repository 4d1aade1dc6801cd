"""The page on which somebody makes their account with a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Field, Frame


@dataclass(frozen=True, kw_only=True)
class AccountPage:
    """What the page shows."""

    template: ClassVar[str] = "console/account.html.j2"

    frame: Frame
    intro: str
    path: str
    """Where the form goes."""
    token_label: str
    token: Field
    name: Field
    login: Field
    password: Field
    password_hint: str
