"""What is typed into a session's shell where a command is run in it and nobody is at a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class TypedCommand:
    """One line for a shell: it shows the command, runs it between two marks, and leaves.

    The shell gets the command as data and not as a part of the line, so that nothing in it can end the line,
    take a part of it for its input, or leave the shell waiting for the rest of a quotation.
    """

    template: ClassVar[str] = "enter/command.sh.j2"

    encoded: str
    """The command in base64."""
    mark: str
    """Letters and digits that nothing else says."""
