"""The whole folder under the rules: each file's own mistakes and what the files do to each other."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from stacks.account import ACCOUNT_FILE, AccountSpec, load_account
from stacks.account_rules import ACCOUNT_ERRORS, ACCOUNT_WARNINGS
from stacks.address_plan import SubnetPlan, plan_addresses
from stacks.case import AccountCase, AccountRule, Case
from stacks.environment import EnvironmentSpec, environment_files, load_environment
from stacks.price_rules import limited_teams_have_an_environment, teams_stay_within_their_limits
from stacks.problems import Problem, UserError, nearest
from stacks.rules import ERRORS, WARNINGS
from stacks.spec_file import build_spec, shown


@dataclass(frozen=True)
class Folder:
    """The folder of the TOML files as far as they can be read."""

    directory: Path
    account: AccountSpec | None
    specs: Mapping[Path, EnvironmentSpec]
    """Environments by their file; one that cannot be read is missing here."""
    unread: Mapping[Path, tuple[Problem, ...]]
    """What keeps a file (the account's as well) from being read."""


def read_folder(directory: Path) -> Folder:
    """Read the account's file and every environment's, keeping the problems of those that are wrong."""
    unread: dict[Path, tuple[Problem, ...]] = {}
    specs: dict[Path, EnvironmentSpec] = {}
    account = None
    try:
        account = load_account(directory)
    except UserError as error:
        unread[directory / ACCOUNT_FILE] = error.problems
    for file in environment_files(directory):
        try:
            specs[file] = load_environment(file)
        except UserError as error:
            unread[file] = error.problems
    return Folder(directory, account, specs, unread)


def check_directory(
    environments_dir: Path, names: Sequence[str] | None = None, today: datetime.date | None = None
) -> tuple[list[Problem], list[Problem]]:
    """Return every error and every warning of the folder, or only those that concern the named environments.

    The account's file concerns every environment. `today` is the current day in UTC where it is not given.
    """
    folder = read_folder(environments_dir)
    day = today or _utc_day()
    wanted = None if names is None else {environments_dir / f"{name}.toml" for name in names}
    errors = list(_unknown_names(folder, names or ()))
    warnings: list[Problem] = []
    for file, problems in folder.unread.items():
        if wanted is None or file in wanted or file.name == ACCOUNT_FILE:
            errors += problems
        else:
            warnings.append(_not_compared(file))
    errors += account_problems(environments_dir, folder.account)
    warnings += account_problems(environments_dir, folder.account, ACCOUNT_WARNINGS)
    if not folder.unread:  # a file that cannot be read may be of any team
        warnings += limited_teams_have_an_environment(
            environments_dir, folder.account, [*folder.specs.values()]
        )
    for file, spec in folder.specs.items():
        if wanted is None or file in wanted:
            case = Case(file=file, spec=spec, account=folder.account, today=day)
            errors += [problem for rule in ERRORS for problem in rule(case)]
            warnings += [problem for rule in WARNINGS for problem in rule(case)]
    errors += networks_are_apart(folder.specs, wanted)
    errors += teams_stay_within_their_limits(folder.specs, folder.account, wanted)
    return sorted(errors, key=lambda problem: problem.file), sorted(
        warnings, key=lambda problem: problem.file
    )


def account_problems(
    environments_dir: Path, account: AccountSpec | None, rules: Sequence[AccountRule] = ACCOUNT_ERRORS
) -> list[Problem]:
    """Return what the rules find in the account's file; one that cannot be read has no findings of theirs."""
    if account is None:
        return []
    case = AccountCase(file=environments_dir / ACCOUNT_FILE, account=account)
    return [problem for rule in rules for problem in rule(case)]


def networks_are_apart(
    specs: Mapping[Path, EnvironmentSpec], wanted: set[Path] | None = None
) -> Iterator[Problem]:
    """No two environments' networks overlap, or they could never be joined; one VPC's block may be shared.

    In a VPC that is there already, environments may share its block and its subnets, for their security
    groups keep them apart, but not make its endpoints twice: AWS gives a service's name to one alone.
    A pair is told of its later file; with `wanted`, only pairs with such a file count, told of that one.
    """
    for (first, one), (second, other) in combinations(specs.items(), 2):
        if wanted is not None and not wanted & {first, second}:
            continue
        if wanted is not None and second not in wanted:
            first, one, second, other = second, other, first, one
        mine, theirs = other.network, one.network
        same_vpc = bool(mine.vpc_id) and mine.vpc_id == theirs.vpc_id
        if mine.cidr.overlaps(theirs.cidr) and not (same_vpc and mine.cidr == theirs.cidr):
            yield Problem(
                file=shown(second),
                path="network.cidr",
                what=f"{mine.cidr} of {other.name} overlaps {theirs.cidr} of {one.name}",
                do=f"take another block; {shown(first)} has the other",
            )
        if same_vpc and mine.endpoints == theirs.endpoints == "made":
            yield Problem(
                file=shown(second),
                path="network.endpoints",
                what=f"{other.name} and {one.name} would both make the endpoints of {mine.vpc_id}",
                do=f'set it to "existing" here; {shown(first)} makes them',
            )


def plan_folder(environments_dir: Path, names: Sequence[str]) -> list[SubnetPlan]:
    """Return how the addresses of these environments' subnets are used; none of a file that is wrong."""
    folder = read_folder(environments_dir)
    specs = (folder.specs.get(environments_dir / f"{name}.toml") for name in names)
    return [plan for spec in specs if spec for plan in plan_addresses(spec)]


def check_new(
    environments_dir: Path,
    name: str,
    settings: Mapping[str, Any],
    account_settings: Mapping[str, Any] | None = None,
    today: datetime.date | None = None,
) -> list[Problem]:
    """Return the errors that the folder would have with a new environment's file of these settings in it.

    `account_settings` are those of an account's file to be written with it. A file that exists is an error.
    """
    file = environments_dir / f"{name}.toml"
    folder = read_folder(environments_dir)
    account, problems = folder.account, []
    if file.exists() or file.name == ACCOUNT_FILE:
        problems.append(Problem(file=shown(file), what="the file exists", do="edit it, or take another name"))
    try:
        if account_settings is not None:
            account = build_spec(AccountSpec, account_settings, environments_dir / ACCOUNT_FILE)
    except UserError as error:
        problems += error.problems
    try:
        spec = build_spec(EnvironmentSpec, settings, file)
    except UserError as error:
        return [*problems, *error.problems]
    case = Case(file=file, spec=spec, account=account, today=today or _utc_day())
    problems += [problem for rule in ERRORS for problem in rule(case)]
    # Where both files get one region, a mistake in it is told once.
    told = {problem.what for problem in problems}
    problems += [each for each in account_problems(environments_dir, account) if each.what not in told]
    together = {**folder.specs, file: spec}
    problems += networks_are_apart(together, {file})
    return [*problems, *teams_stay_within_their_limits(together, account, {file})]


def load_checked(
    environments_dir: Path, name: str, today: datetime.date | None = None
) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the account and the named environment, fit to be built.

    Raises UserError with every error that concerns the environment.
    """
    errors, _ = check_directory(environments_dir, [name], today)
    if errors:
        raise UserError(errors)
    return load_declared(environments_dir, name)


def load_declared(environments_dir: Path, name: str) -> tuple[AccountSpec, EnvironmentSpec]:
    """Return the account and the named environment as declared, whether or not they may still be built.

    For looking and tearing down: an environment whose lease is over must come down all the same. Raises
    UserError where there is none of that name or a file cannot be read.
    """
    folder = read_folder(environments_dir)
    file = environments_dir / f"{name}.toml"
    problems = list(_unknown_names(folder, [name]))
    problems += folder.unread.get(environments_dir / ACCOUNT_FILE, ())
    problems += folder.unread.get(file, ())
    if problems:
        raise UserError(problems)
    assert folder.account is not None, "an account that cannot be read has problems"
    return folder.account, folder.specs[file]


def _unknown_names(folder: Folder, names: Sequence[str]) -> Iterator[Problem]:
    known = sorted(file.stem for file in (*folder.specs, *folder.unread) if file.name != ACCOUNT_FILE)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean `{near}`?" if near else f"declared: {', '.join(known) or 'none'};"
            yield Problem(
                what=f"there is no environment {name!r} in {shown(folder.directory)}",
                do=f"{hint} `fleetform init {name}` declares it",
            )


def _utc_day() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _not_compared(file: Path) -> Problem:
    return Problem(
        file=shown(file),
        what="this file is wrong, so its network was not compared",
        do="`fleetform check` tells what is wrong with it",
    )
