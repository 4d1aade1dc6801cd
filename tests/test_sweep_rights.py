"""Auditor and deployer may make every call of a look through the account, by the policies of its stack."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fleet.account_sweep import EVERYWHERE, IN_REGION, look_in, sweep_account
from fleet.cloud import Cloud
from fleet.listings.listed import Listed
from fleet.listings.services import AT_HOME
from fleet.orphans.choice import Wanted, choose
from fleet.orphans.report import AccountSweep
from fleet.orphans.rounds import Target, delete_all
from fleet.project import Project
from fleet.session import AccountSession
from fleet.sweep import shared_clients
from stacks import naming
from stacks.account import load_account
from stacks.app import synthesize
from tests import orphans_planted as planted
from tests.api_stacks import ApiStacks
from tests.golden_synth import BUNDLE
from tests.iam_helpers import ACCOUNT, allow, assume, make_role
from tests.orphans_planted import DEAD, LIVING, ORGANIZATION, Garden
from tests.sandbox_helpers import REGION
from tests.spec_files import write_folder
from tests.two_teams import take_on

pytestmark = pytest.mark.sandbox
CONSOLE = "orphan-tests-console"
ACCOUNT_TEXT = f"""\
organization = "{ORGANIZATION}"
region = "{REGION}"

[ledger]
retention_days = 1

[people]
trusted = ["arn:aws:iam::{ACCOUNT}:role/{CONSOLE}"]
"""


@pytest.fixture(scope="module")
def session(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> AccountSession:
    """Return the owner's session of an account that has its stack, with auditor and deployer."""
    root = tmp_path_factory.mktemp("account")
    folder = write_folder(root, ACCOUNT_TEXT)
    account = load_account(folder)
    synthesize(account, [], BUNDLE, root / "out")
    ApiStacks(sandbox, account).make(root / "out" / "stacks" / naming.ACCOUNT_STACK)
    make_role(sandbox, CONSOLE, allow(["sts:AssumeRole", "sts:SetSourceIdentity"]))
    return AccountSession(Project(root=root, home=sandbox_home), sandbox, account)


@pytest.fixture(scope="module")
def owners(sandbox: Cloud, session: AccountSession) -> Iterator[AccountSweep]:
    """Plant something of every kind, tagged and untagged, and return what the account's owner sees of it."""
    with ExitStack() as undo:
        garden = Garden(sandbox, undo)
        planted.plant_ours(garden)
        plant_below_our_paths(garden)
        yield looked(session)
        uproot(session)


def plant_below_our_paths(garden: Garden) -> None:
    """Plant what lies below fleetform's paths under names that the stacks do not give."""
    group, parameter = naming.log_group(DEAD, "of-a-run"), "/fleetform/loose"
    garden.call("logs", "create_log_group", logGroupName=group)
    garden.plant("another log group", group, "logs", "delete_log_group", logGroupName=group)
    garden.call("ssm", "put_parameter", Name=parameter, Value="x", Type="String")
    garden.plant("another parameter", parameter, "ssm", "delete_parameter", Name=parameter)


def uproot(session: AccountSession) -> None:
    """Delete what was planted, as a sweep does: single calls do not end all of it."""
    swept, clients = looked(session), shared_clients(session.cloud, REGION)
    goes = choose(swept.found, Wanted(data=True), swept.account).goes
    targets = [Target(each.listed.thing, clients, each.listed.comes_along) for each in goes]
    assert [why for _, why in delete_all(targets, lambda text: None, pause=0.05, seconds=60) if why] == []


def looked(session: AccountSession) -> AccountSweep:
    """Return what is found of what was planted."""
    return sweep_account(session, environments=(DEAD, LIVING))


@pytest.mark.parametrize("role", [naming.ROLE_AUDITOR, naming.ROLE_DEPLOYER])
def test_their_look_sees_all_that_the_owners_does_and_nothing_is_refused(
    session: AccountSession, owners: AccountSweep, role: str
) -> None:
    console = assume(session.cloud, f"arn:aws:iam::{ACCOUNT}:role/{CONSOLE}")
    cloud = take_on(console, naming.account_name(ORGANIZATION, role))
    swept = looked(AccountSession(session.project, cloud, session.account))
    assert [f"{each.title}: {each.why}" for each in swept.not_looked] == []
    assert {each.listed.key for each in swept.found} == {each.listed.key for each in owners.found}
    assert len({each.listed.thing.kind for each in owners.found}) >= 35


def test_every_listing_finds_something_here_so_that_all_its_calls_are_made(
    session: AccountSession, owners: AccountSweep
) -> None:
    look = look_in(session, REGION)
    listers = (*EVERYWHERE, *AT_HOME, *IN_REGION)
    empty = [each.title for each in listers if not any(isinstance(row, Listed) for row in each.look(look))]
    assert empty == [], "plant one of each: what is asked about a single thing is a right of its own"
