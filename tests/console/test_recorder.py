"""What people do is on record: who, what, how it ended. What cannot be recorded does not happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console.store.waiting import all_waiting
from fleet.aws import client
from fleet.cloud import Cloud
from fleet.policy import Grant
from fleet.session import open_account
from stacks import naming
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab, declare_environment, serving, settings_of
from tests.run_environment import REGION
from tests.sandbox_helpers import admin

pytestmark = [pytest.mark.console, pytest.mark.sandbox]


def entries(studio: Studio, person_id: str) -> list[dict[str, Any]]:
    return [
        entry
        for entry in studio.environment.session.ledger.entries()
        if entry["actor"].get("asked_by", {}).get("id") == person_id or entry["target"] == person_id
    ]


def test_sign_ins_failures_and_sign_outs_are_in_the_ledger_with_who_and_from_where(studio: Studio) -> None:
    person = studio.lab.person(Grant("viewer", "tests"), name="Ann\nLee")
    visitor = studio.lab.visitor()
    visitor.sign_in(person.subject, "a wrong password")
    visitor.sign_in(person.subject)
    visitor.post("/logout", {}, page="/")
    found = [(entry["event"], entry["outcome"]) for entry in entries(studio, person.id)]
    assert found == [
        ("console.login", "failed"),
        ("console.login", "succeeded"),
        ("console.logout", "succeeded"),
    ]
    who = entries(studio, person.id)[-1]["actor"]
    assert who["asked_by"] == {
        "via": "console", "id": person.id, "name": "Ann\nLee", "issuer": "local", "subject": person.subject,
        "address": "127.0.0.1",
    }  # fmt: skip
    assert who["identity"].startswith("arn:aws:"), "and as whom the console itself acted"
    assert "person" not in who, "which is only what the cloud vouches for"
    assert studio.environment.session.ledger.verify().intact


def test_what_was_typed_for_an_unknown_name_is_not_recorded(studio: Studio) -> None:
    studio.lab.visitor().sign_in("my-secret-password", "x")
    text = str(studio.environment.session.ledger.entries())
    assert "my-secret-password" not in text and "'login': 'unknown'" in text


def test_where_the_ledger_cannot_be_written_nobody_gets_in(studio: Studio) -> None:
    person, visitor = studio.lab.person(), studio.lab.visitor()
    cloud = studio.environment.session.cloud
    fault = {
        "service": "s3",
        "action": "PutObject",
        "resource": "ledger",
        "code": "AccessDenied",
        "status": 403,
    }
    admin(cloud, "POST", "faults", fault)
    try:
        answer = visitor.sign_in(person.subject)
    finally:
        admin(cloud, "DELETE", "faults")
    assert answer.status_code == 503 and "Not on record, so not done" in answer.text
    assert visitor.get("/").status_code == 303
    assert visitor.sign_in(person.subject).status_code == 303


def test_before_there_is_an_account_entries_wait_in_order_with_their_times(own_lab: ConsoleLab) -> None:
    visitor = own_lab.signed_in("viewer")
    visitor.post("/logout", {}, page="/")
    with own_lab.services.database.reading() as database:
        waiting = all_waiting(database)
    assert [(entry.event, entry.outcome) for entry in waiting] == [
        ("console.login", "succeeded"),
        ("console.logout", "succeeded"),
    ]


def test_what_waited_goes_to_the_ledger_first_once_there_is_one(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path
) -> None:
    declare_environment(tmp_path, "late", "tests", organization="latecomers")
    settings = settings_of(tmp_path, sandbox_home)
    with serving(settings) as lab:
        visitor = lab.signed_in("viewer")
        bucket = naming.ledger_bucket("latecomers", REGION)
        client(sandbox, "s3", REGION).create_bucket(Bucket=bucket)
        visitor.post("/logout", {}, page="/")
    entries = open_account("sandbox", project=settings.project).ledger.entries()
    assert [entry["event"] for entry in entries] == ["console.login", "console.logout"]
    first, second = entries
    assert first["details"]["happened"] < first["time"] <= second["time"]
    assert "happened" not in second["details"]
