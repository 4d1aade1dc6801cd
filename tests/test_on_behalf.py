"""Acting in a person's name: the role that the act needs, the person in every entry and in the trail."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet import on_behalf
from fleet.cloud import FULL_URI, Cloud
from fleet.errors import ActError
from fleet.lent_credentials import TOKEN, Keys, Lender, lend
from fleet.on_behalf import as_person, source_identity
from fleet.project import Project
from fleet.session import Session
from stacks import naming
from stacks.account import AccountSpec, PeopleSpec
from stacks.people_roles import trust_policy
from tests.iam_helpers import ACCOUNT, allow, document
from tests.run_environment import REGION, make_specs
from tests.sandbox_helpers import api
from tests.terraform_stack import STATE_BUCKET, open_test_stack, write_stack

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


# ------------------------------------------------------------------------------ longer than a session


def keys(number: int, seconds: float) -> Keys:
    """Return keys that end after so many seconds."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return Keys(access_key_id=f"key{number}", secret_access_key="s", session_token="t", expires=end)


def test_keys_are_taken_on_anew_before_they_end_and_not_sooner() -> None:
    made = [keys(0, 3600), keys(1, 600), keys(2, 3600)]
    lender = Lender(lambda: made.pop(0))
    assert [lender.keys().access_key_id for _ in range(2)] == ["key0", "key0"]
    lender = Lender(lambda: made.pop(0))
    assert [lender.keys().access_key_id for _ in range(2)] == ["key2", "key2"]


def test_where_they_cannot_be_had_anew_the_old_ones_are_good_to_their_end() -> None:
    made = [keys(0, 600)]
    lender = Lender(lambda: made.pop(0))
    assert lender.keys().access_key_id == "key0"
    made.append(keys(1, -1))
    assert lender.keys().access_key_id == "key1"
    with pytest.raises(IndexError):
        lender.keys()


def test_the_keys_are_for_who_has_the_token_alone() -> None:
    variables = lend(lambda: keys(0, 3600))
    url = variables[FULL_URI]
    assert url.startswith("http://127.0.0.1:")
    for address, token in ((url, "another"), (url, ""), (f"{url}/x", variables[TOKEN])):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(address, headers={"Authorization": token}))
        with caught.value as answer:
            assert answer.code == 403 and b"key0" not in answer.read()
    asked = urllib.request.Request(url, headers={"Authorization": variables[TOKEN]})
    with urllib.request.urlopen(asked) as answer:
        assert json.load(answer)["AccessKeyId"] == "key0"


@pytest.fixture
def short(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The session of an act whose keys are so short that an SDK asks for new ones at every call."""
    monkeypatch.setattr(on_behalf, "_SECONDS", 900)
    return as_person(session, "run.submit")


@pytest.mark.sandbox
def test_our_own_calls_take_the_role_on_again_before_its_session_ends(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, taken = on_behalf._take_on, list[Keys]()

    def counted(sts: Any, identity: str, role: str) -> Keys:
        taken.append(real(sts, identity, role))
        return taken[-1]

    monkeypatch.setattr(on_behalf, "_SECONDS", 900)
    monkeypatch.setattr(on_behalf, "_take_on", counted)
    acting = as_person(session, "run.submit")
    ledger, identity = acting.ledger, source_identity(ANN)
    for number in range(3):
        before = len(taken)
        entry = ledger.append("test.long", "behalf", "recorded", {"number": number})
        assert entry["actor"]["person"] == identity and len(taken) > before
    assert len({each.access_key_id for each in taken}) == len(taken)


@pytest.mark.sandbox
def test_what_an_act_starts_finds_the_persons_keys_and_no_others(
    short: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-consoles-own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_PROFILE", "the-consoles-own")
    program = "import boto3; print(boto3.client('sts', region_name='us-east-1').get_caller_identity()['Arn'])"
    told = subprocess.run(
        [sys.executable, "-c", program], env=short.cloud.process_environment(), capture_output=True, text=True
    )
    assert told.stdout.strip() == short.caller, told.stderr
    assert not {"AWS_ACCESS_KEY_ID", "AWS_PROFILE"} & set(short.cloud.process_environment())


@pytest.mark.sandbox
@pytest.mark.terraform
def test_terraform_works_with_keys_that_are_renewed(
    sandbox: Cloud, short: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-consoles-own")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    iam, role = api(sandbox, "iam"), naming.environment_role("behalf", naming.ROLE_MEMBER, REGION)
    iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=document(allow("*", "*")))
    api(sandbox, "s3").create_bucket(Bucket=STATE_BUCKET)
    name = "behalf-stack"
    resources = {"aws_ssm_parameter": {"one": {"name": f"/tests/{name}", "type": "String", "value": "x"}}}
    try:
        write_stack(tmp_path / "stack", name, resources)
        stack = open_test_stack(tmp_path / "stack", name, short.cloud)
        stack.init()
        assert stack.apply().add == 1
        assert api(sandbox, "ssm").get_parameter(Name=f"/tests/{name}")["Parameter"]["Value"] == "x"
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="more")
