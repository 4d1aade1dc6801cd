"""What a rule looks at, an environment or the account, and the form that every rule has."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks.account import AccountSpec
from stacks.catalog import known_regions
from stacks.environment import EnvironmentSpec
from stacks.problems import Problem, nearest
from stacks.spec_file import shown


@dataclass(frozen=True, kw_only=True)
class Case:
    """One environment under the rules."""

    file: Path
    spec: EnvironmentSpec
    account: AccountSpec | None
    """None where the account's file is wrong itself; the rules that need it then find nothing."""
    today: datetime.date

    def problem(self, path: str, what: str, do: str) -> Problem:
        """Return a problem at the path in this environment's file."""
        return Problem(file=shown(self.file), path=path, what=what, do=do)


@dataclass(frozen=True, kw_only=True)
class AccountCase:
    """The account under its rules."""

    file: Path
    account: AccountSpec

    def problem(self, path: str, what: str, do: str) -> Problem:
        """Return a problem at the path in the account's file."""
        return Problem(file=shown(self.file), path=path, what=what, do=do)


Rule = Callable[[Case], Iterator[Problem]]
AccountRule = Callable[[AccountCase], Iterator[Problem]]


def unknown_region(case: Case | AccountCase, region: str) -> Iterator[Problem]:
    """Return the problem of a region that AWS does not have, none for one that it has."""
    if region not in known_regions():
        near = nearest(region, known_regions())
        do = f"did you mean `{near}`?" if near else f"take one of {', '.join(known_regions())}"
        yield case.problem("region", f"AWS has no region {region!r}", do)
