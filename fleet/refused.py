"""What the cloud refuses a role, in fleetform's words: what it may not, who may, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Self

from fleet import aws
from fleet.errors import ActError
from stacks.problems import Problem, UserError

_CODES = frozenset(
    {"403", "AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)
"""What the services call a refusal of IAM's; a HEAD of S3's has no more than its number."""
READS_LEDGER = "the auditor, the deployer and the account's owner may"
WRITES_LEDGER = "every role of fleetform's for people and the account's owner may"
READS_RECORD = "the auditor and the account's owner may"


class RefusedError(ActError, UserError):
    """The caller's role may not read it: a refusal for who acts, and their mistake to the command."""

    @classmethod
    def to(cls, act: str, who: str) -> Self:
        """Make the error; `act` is what was refused (`read the ledger`), `who` who may."""
        do = "ask one of them, or take such a role on (docs/roles.md)"
        return cls([Problem(what=f"your role may not {act}: {who}", do=do)])

    def __str__(self) -> str:
        """Return what was refused, in one line, as answers name it that go on without it."""
        return self.problems[0].what


def is_refused(error: Exception) -> bool:
    """Return whether the role behind the call may not make it."""
    return aws.error_code(error) in _CODES


def in_words(error: Exception) -> str:
    """Return an error of the cloud's in one line: a refusal by the call that the role may not make."""
    called = getattr(error, "operation_name", "")
    if is_refused(error) and called:
        return f"your role may not call {called}"
    return str(error).splitlines()[0]


def require_team(team: str, teams: Collection[str], error: Exception) -> None:
    """Raise RefusedError, for who may not see all runs of an environment, where `team` is none of `teams`."""
    if team in teams:
        return
    named = " or ".join(f"--team {each}" for each in teams)
    what = "your role may not read the runs of all teams: who belongs to the environment's own team may"
    do = f"ask for your own team's ({named})" if named else "ask one of them"
    raise RefusedError([Problem(what=what, do=do, path="--team")]) from error


@contextmanager
def refused_to(act: str, who: str) -> Iterator[None]:
    """Raise RefusedError for what the cloud refuses the role in the block."""
    try:
        yield
    except Exception as error:
        if not is_refused(error):
            raise
        raise RefusedError.to(act, who) from error
