"""Who is told of the calls that the embedded cloud answers."""

from __future__ import annotations

from typing import Any, Protocol

from werkzeug.wrappers import Response

from sandbox.calls import Call


class Witness(Protocol):
    """Told of every call, one after the other, while no other one is answered."""

    def asked(self) -> None:
        """A call has come; nothing has been done about it yet."""

    def answered(self, environ: dict[str, Any], call: Call, response: Response) -> None:
        """The call was answered, or refused; its body can be read again, by whoever puts it back."""
