"""What can be wrong with a request, as exceptions that pages raise and that become pages."""

from __future__ import annotations

from fleet.policy import Role, Verb


class NotSignedInError(Exception):
    """Nobody is signed in, or not any more; the answer leads to the sign-in."""


class NotProvedError(Exception):
    """Who is signed in has not proved who they are for a while, and this destroys or exports something."""


class FormError(Exception):
    """A form that is not ours: without its token, or with that of an earlier sign-in."""


class NotThereError(Exception):
    """It is not there, or the person may not know that it is."""


class RefusedError(Exception):
    """It can't be done as things stand; the text says why and what to do, in the reader's language."""

    def __init__(self, text: str) -> None:
        """Take the text."""
        super().__init__(text)
        self.text = text


class NotAllowedError(Exception):
    """The person may see it, and not do that."""

    def __init__(self, verb: Verb, team: str, roles: tuple[Role, ...]) -> None:
        """Take what was asked for, and the roles that may do it."""
        super().__init__(f"{verb} in {team}")
        self.verb, self.team, self.roles = verb, team, roles
