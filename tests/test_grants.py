"""What somebody's role lets them do by commands: the console's table, asked before anything is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.declare import declare
from fleet.grants import OWNER, grants_of, is_own
from fleet.policy import EVERY_TEAM, VERBS, Grant, Verb, decide
from fleet.project import Project
from fleet.run_store import open_runs
from fleet.session import Session, open_session
from scripts.cli import main
from stacks import naming
from stacks.account import AccountSpec, PeopleSpec
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.people_roles import trust_policy
from stacks.problems import UserError
from tests.environment_parts import REGION, make_specs
from tests.iam_helpers import ACCOUNT, allow, assume, document
from tests.run_directories import make
from tests.sandbox_helpers import api

ORGANIZATION, NAME = "grants-tests", "grants"
PEOPLE = PeopleSpec(trusted=(f"arn:aws:iam::{ACCOUNT}:root",))
ACCOUNT_SPEC = AccountSpec(organization=ORGANIZATION, region=REGION, people=PEOPLE)
ROLES = {
    "member": naming.environment_role(NAME, naming.ROLE_MEMBER, REGION),
    "operator": naming.environment_role(NAME, naming.ROLE_OPERATOR, REGION),
    "auditor": naming.account_name(ORGANIZATION, naming.ROLE_AUDITOR),
    "deployer": naming.account_name(ORGANIZATION, naming.ROLE_DEPLOYER),
    "stranger": naming.environment_role("another", naming.ROLE_OPERATOR, REGION),
}
"""The roles of people by what they are here; the stranger's is of another environment."""
SEE: set[Verb] = {"environment.see", "run.see"}
TRAIN: set[Verb] = {"run.submit", "data.upload", "model.try", "model.take", "server.enter"}
LOOK: set[Verb] = {"account.look"}
BUILD: set[Verb] = {"run.stop", "run.resume", "environment.up", "environment.down", "account.sweep"}
MAY: Mapping[str, set[Verb]] = {
    "member": SEE | TRAIN,
    "operator": SEE | TRAIN | LOOK | BUILD,
    "auditor": SEE | LOOK | {"record.read", "record.verify", "record.export"},
    "deployer": SEE | TRAIN | LOOK | BUILD | {"launch.approve", "lease.extend"},
    "stranger": set(),
}


def arn(role: str, person: str = "ann") -> str:
    """Return the ARN of somebody in a role."""
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{person}"


def session_of(caller: str, account: AccountSpec = ACCOUNT_SPEC, **tables: object) -> Session:
    """Return a session of the environment as that caller has it."""
    _, spec = make_specs(NAME, {"gpu": {"nodes": 1, "max_nodes": 1}}, **tables)
    session = Session(Project(root=Path("/none"), home=Path("/none")), Cloud("none"), account, spec)
    session.__dict__["caller"] = caller
    return session


def allowed(session: Session, team: str = "", *, own: bool = False) -> set[Verb]:
    """Return what the session's caller may."""
    found: set[Verb] = set()
    for verb in VERBS:
        try:
            session.require(verb, team, own=own)
        except UserError:
            continue
        found.add(verb)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_of_the_cloud_may_what_the_table_gives_it_and_nothing_else(role: str) -> None:
    assert allowed(session_of(arn(ROLES[role]))) == MAY[role]
    own = MAY[role] | ({"run.stop", "run.resume"} if role == "member" else set())
    assert allowed(session_of(arn(ROLES[role])), own=True) == own


@pytest.mark.parametrize(
    "caller",
    [
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:iam::{ACCOUNT}:user/ann",
        arn("AWSReservedSSO_Admin_1a2b3c"),
        arn("company-admin"),
    ],
)
def test_who_acts_in_none_of_our_roles_is_the_accounts_owner_and_may_all(caller: str) -> None:
    assert allowed(session_of(caller)) == set(VERBS)


def test_an_account_without_roles_of_people_has_none_that_could_be_meant() -> None:
    account = AccountSpec(organization=ORGANIZATION, region=REGION)
    assert allowed(session_of(arn(ROLES["member"]), account)) == set(VERBS)


def test_the_roles_of_an_environment_say_nothing_of_the_whole_account() -> None:
    for role, told in (("member", ()), ("operator", ()), ("auditor", (Grant("auditor", EVERY_TEAM),))):
        assert grants_of(arn(ROLES[role]), ACCOUNT_SPEC, None) == told
    assert grants_of(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT_SPEC, None) == OWNER
    assert decide(OWNER, "record.export", EVERY_TEAM).allowed


def test_the_members_of_a_further_team_have_their_own_teams_runs_alone() -> None:
    caller = arn(naming.team_role(NAME, "blue", REGION))
    session = session_of(caller, scheduler={"teams": {"blue": {}}})
    assert allowed(session, "blue") == SEE | TRAIN
    assert allowed(session) == allowed(session, "tests") == set(), "the environment's own team is another"


def test_the_own_team_is_meant_by_each_of_its_names() -> None:
    member = session_of(arn(ROLES["member"]))
    assert allowed(member, "") == allowed(member, member.spec.own_team) == allowed(member, "tests")


def test_a_run_is_own_to_the_person_who_submitted_it_whichever_role_they_were_in() -> None:
    member, operator = arn(ROLES["member"]), arn(ROLES["operator"])
    assert is_own(member, {"actor": operator}) and is_own(member, {"actor": member})
    assert not is_own(member, {"actor": arn(ROLES["member"], "ben")})
    assert not is_own(member, {})
    elsewhere = arn("company-admin")
    assert is_own(elsewhere, {"actor": elsewhere}) and not is_own(member, {"actor": elsewhere})


def test_what_the_console_has_decided_is_not_decided_again_by_the_role_that_it_takes_on() -> None:
    session = session_of(arn(ROLES["member"]))
    asked = Session(session.project, session.cloud, session.account, session.spec, asked_by={"name": "Ann"})
    asked.__dict__["caller"] = session.caller
    assert allowed(asked) == set(VERBS)


# ------------------------------------------------------------------------------ as it is typed


@dataclass(frozen=True)
class Desk:
    """An environment's files and buckets, its people's roles, and a run of Ben's and one of Ann's."""

    session: Session
    bens: str
    anns: str


@pytest.fixture(scope="module")
def desk(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    root = tmp_path_factory.mktemp("grants")
    declare(
        root, NAME, team="tests", owner="tests@example.com", region=REGION, instance_type="g5.xlarge",
        nodes=1, organization=ORGANIZATION,
    )  # fmt: skip
    account = root / "environments" / "account.toml"
    account.write_text(
        f'organization = "{ORGANIZATION}"\nregion = "{REGION}"\n'
        f'[people]\ntrusted = ["{PEOPLE.trusted[0]}"]\n',
        encoding="utf-8",
    )
    session = open_session(NAME, "sandbox", project=Project(root=root, home=sandbox_home))
    _stand(session)
    files = [_take_on(sandbox, sandbox_home, role) for role in ROLES]
    store = open_runs(session)
    runs = {"ben": "20260101-000000-bbbbb", "ann": "20260101-000001-aaaaa"}
    for person, run_id in runs.items():
        make(store, run_id, "QUEUED", "FAILED", actor=arn(ROLES["member"], person))
    yield Desk(session, runs["ben"], runs["ann"])
    for file in files:
        file.unlink()


def _stand(session: Session) -> None:
    """Make what a fleet stack leaves for the commands to find: buckets, and what says where they are."""
    spec, s3 = session.spec, session.client("s3")
    artifacts = naming.artifact_bucket(ORGANIZATION, NAME, REGION)
    datasets = naming.dataset_bucket(ORGANIZATION, NAME, REGION)
    for bucket in (artifacts, datasets, naming.ledger_bucket(ORGANIZATION, REGION)):
        s3.create_bucket(Bucket=bucket)
    gpu = FleetOutputs(
        group=naming.fleet_group(NAME, "gpu"), nodes=1, max_nodes=1, instance_type="g5.xlarge",
        gpus_per_node=1, purchase="on_demand", elastic=0,
    )  # fmt: skip
    outputs = EnvironmentOutputs(
        environment=NAME, region=spec.region, vpc_id="vpc-0", subnet_ids=(), artifact_bucket=artifacts,
        dataset_bucket=datasets, ledger_bucket=naming.ledger_bucket(ORGANIZATION, REGION), kms_key_arn="",
        run_document=naming.run_document(NAME), node_document=naming.node_document(NAME),
        head_group=naming.head_group(NAME), fleets={"gpu": gpu},
    )  # fmt: skip
    session.client("ssm").put_parameter(
        Name=naming.outputs_parameter(NAME), Value=outputs.to_json(), Type="String"
    )


def _take_on(sandbox: Cloud, home: Path, role: str) -> Path:
    """Make the role, which IAM lets do everything; return the file of the cloud as Ann has it in it."""
    iam = api(sandbox, "iam")
    trusts = trust_policy(PEOPLE.trusted).replace("$${", "${")  # as Terraform hands it over
    made = iam.create_role(RoleName=ROLES[role], AssumeRolePolicyDocument=trusts)["Role"]["Arn"]
    iam.put_role_policy(RoleName=ROLES[role], PolicyName="all", PolicyDocument=document(allow("*", "*")))
    cloud = assume(sandbox, made, "ann", SourceIdentity="ann")
    file = home / "clouds" / f"grants-{role}.json"
    file.write_text(json.dumps(dict(cloud.variables)), encoding="utf-8")
    return file


COMMANDS: Mapping[str, tuple[list[str], str, Verb]] = {
    "up": (["up", NAME, "--yes"], "environment.up", "environment.up"),
    "down": (["down", NAME, "--yes"], "environment.down", "environment.down"),
    "run": (["run", NAME, "--recipe", "digits"], "run.submit", "run.submit"),
    "resume": (["run", NAME, "--resume", "BENS"], "run.resume", "run.resume"),
    "cancel": (["cancel", NAME, "BENS"], "run.cancel", "run.stop"),
    "fetch": (["fetch", NAME, "BENS", "--to", "out"], "run.fetch", "model.take"),
    "model": (["model", NAME, "BENS"], "model.take", "model.take"),
    "try": (["try", NAME, "BENS", "--text", "x"], "model.try", "model.try"),
    "extend": (
        ["lease", "extend", NAME, "--until", "2100-01-01", "--reason", "x", "--yes"],
        "lease.extended",
        "lease.extend",
    ),
    "export": (["audit", "export", "--to", "out"], "record.export", "record.export"),
    "pack": (["audit", "pack", "--to", "out.zip"], "record.export", "record.export"),
    "selftest": (["selftest", NAME], "environment.selftest", "run.submit"),
    "enter": (["enter", NAME, "head", "--reason", "x"], "server.enter", "server.enter"),
}
"""What is typed, the entry of the ledger that it makes, and the verb of the policy."""


@pytest.mark.sandbox
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_the_role_does_not_include_is_refused_on_record_and_does_nothing(
    desk: Desk, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words, event, verb = COMMANDS[name]
    monkeypatch.setenv("FLEETFORM_HOME", str(desk.session.project.home))
    monkeypatch.chdir(desk.session.project.root)
    before = sorted(desk.session.project.root.rglob("*"))
    refused = [role for role in ROLES if verb not in MAY[role]]
    assert refused
    for role in refused:
        typed = [desk.bens if word == "BENS" else word for word in words]
        assert main([*typed, "--cloud", f"grants-{role}"]) == 2
        said = capsys.readouterr().err
        assert f"error: the role {ROLES[role]} does not include {verb} here" in said
        assert "Traceback" not in said
        entry = desk.session.ledger.entries()[-1]
        assert (entry["event"], entry["outcome"]) == (event, "refused")
        assert entry["actor"]["person"] == "ann"
    assert sorted(desk.session.project.root.rglob("*")) == before


@pytest.mark.sandbox
def test_a_member_ends_their_own_run_and_not_anothers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_HOME", str(desk.session.project.home))
    monkeypatch.chdir(desk.session.project.root)
    assert main(["cancel", NAME, desk.anns, "--cloud", "grants-member"]) == 0
    assert desk.anns in capsys.readouterr().out
    assert main(["cancel", NAME, desk.bens, "--cloud", "grants-member"]) == 2
    assert "ask somebody who is operator" in capsys.readouterr().err
    assert main(["cancel", NAME, desk.bens, "--cloud", "grants-operator"]) == 0
