"""What a user got wrong: every problem at once, each with where, what and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake of the user's, ready to print."""

    what: str
    """What is wrong, as a sentence without its full stop."""
    do: str
    """What to do about it, in the imperative."""
    file: str = ""
    """The file that it stands in, or "" where the mistake is not in a file."""
    path: str = ""
    """Where in the file (`fleets.gpu.nodes`) or which option (`--nodes`)."""

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.path) if part)
        return f"{where}: {self.what}\n    {self.do}" if where else f"{self.what}\n    {self.do}"


class UserError(Exception):
    """The user's mistakes, all of them; the command prints them and exits with 2, nothing half made."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        assert self.problems, "a UserError names at least one problem"
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, what: str, do: str, *, file: str = "", path: str = "") -> UserError:
        """Make the error of a single problem."""
        return cls([Problem(what=what, do=do, file=file, path=path)])


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that `name` was most likely meant to be, or None where none is near."""
    found = difflib.get_close_matches(name, list(candidates), n=3, cutoff=0.6)

    def likeness(candidate: str) -> tuple[float, bool]:
        swapped = sorted(candidate) == sorted(name)  # `us-esat-1` is nearer to us-east-1 than to us-west-1
        return difflib.SequenceMatcher(None, name, candidate).ratio(), swapped

    return max(found, key=likeness) if found else None
