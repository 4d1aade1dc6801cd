"""Acting in a person's name: the role that the act needs, the person in every entry and in the trail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.on_behalf import as_person, source_identity
from fleet.project import Project
from fleet.session import Session
from stacks import naming
from stacks.account import AccountSpec, PeopleSpec
from stacks.people_roles import trust_policy
from tests.iam_helpers import ACCOUNT, allow, document
from tests.run_environment import REGION, make_specs
from tests.sandbox_helpers import api

ANN = {"id": "1", "name": "Ann Lee", "issuer": "https://id.example.com", "subject": "u-1", "via": "console"}


def test_a_person_is_told_apart_by_issuer_and_subject_and_readable_where_it_can_be() -> None:
    found = {
        source_identity({**ANN, **changed})
        for changed in ({}, {"subject": "u-2"}, {"issuer": "local"}, {"name": "Ann Kim"})
    }
    assert len(found) == 4 and source_identity(ANN).startswith("AnnLee-")
    korean = source_identity({**ANN, "name": "이지은", "subject": "지은"})
    assert korean.startswith("person-") and korean != source_identity(
        {**ANN, "name": "이지은", "subject": "은지"}
    )


@pytest.mark.parametrize("name", ["a" * 500, "<x> & 'y'; $(z)\n", "é", "..", "arn:aws:iam::1:role/x"])
def test_whatever_somebody_is_called_sts_takes_it(name: str) -> None:
    identity = source_identity({**ANN, "name": name})
    assert 2 <= len(identity) <= 64
    assert all(each.isascii() and (each.isalnum() or each in "_.@-") for each in identity)


@pytest.fixture(scope="module")
def session(sandbox: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """An environment whose member role may list the ledger alone; no role of a deployer."""
    folder = tmp_path_factory.mktemp("behalf")
    _, spec = make_specs("behalf", 1)
    people = PeopleSpec(trusted=(f"arn:aws:iam::{ACCOUNT}:root",))
    account = AccountSpec(organization="behalf-tests", region=REGION, people=people)
    bucket = naming.ledger_bucket("behalf-tests", REGION)
    api(sandbox, "s3").create_bucket(Bucket=bucket)
    iam, role = api(sandbox, "iam"), naming.environment_role("behalf", naming.ROLE_MEMBER, REGION)
    trusts = trust_policy(people.trusted).replace("$${", "${")  # as Terraform hands it over
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusts)
    ledger = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    rights = allow(["s3:ListBucket", "s3:GetObject", "s3:PutObject"], ledger)
    iam.put_role_policy(RoleName=role, PolicyName="given", PolicyDocument=document(rights))
    return Session(Project(root=folder, home=folder), sandbox, account, spec, asked_by=ANN)


@pytest.mark.sandbox
def test_an_act_has_the_persons_rights_and_their_name_in_the_ledger(session: Session) -> None:
    acting = as_person(session, "run.submit")
    identity = source_identity(ANN)
    assert acting.caller.endswith(f":assumed-role/behalf-member-{REGION}/{identity}")
    entry = acting.ledger.append("run.submit", "behalf", "recorded", {})
    assert entry["actor"]["person"] == identity, "the cloud vouches for it"
    assert entry["actor"]["asked_by"]["subject"] == "u-1"
    with pytest.raises(ClientError, match=r"AccessDenied|not authorized"):
        acting.client("s3").create_bucket(Bucket="another-of-anns")


@pytest.mark.sandbox
def test_where_the_role_cannot_be_taken_on_the_act_does_not_start(session: Session) -> None:
    deployer = f"arn:aws:iam::{ACCOUNT}:role/behalf-tests-fleetform-deployer"
    with pytest.raises(ActError, match=f"act for AnnLee-.* as {deployer}"):
        as_person(session, "environment.down")


@pytest.mark.sandbox
def test_who_types_a_command_or_has_no_roles_of_people_acts_as_themselves(session: Session) -> None:
    assert as_person(replace(session, asked_by=None), "run.submit").caller == session.caller
    nobody = replace(session, account=AccountSpec(organization="behalf-tests", region=REGION))
    assert as_person(nobody, "run.submit") is nobody
