"""Brute force: after some failures the next attempt is not even looked at, and nobody locks others out."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import update

from console.people import throttle
from console.people.throttle import PER_ACCOUNT, PER_ACCOUNT_EVERYWHERE, PER_ADDRESS
from console.store.columns import utc_now
from console.store.people_tables import AttemptRow
from tests.console.lab import PASSWORD, ConsoleLab

pytestmark = pytest.mark.console


def fail(lab: ConsoleLab, login: str, address: str, times: int) -> None:
    with lab.services.database.writing() as database:
        for _ in range(times):
            throttle.note_failure(database, login, address)


def blocked(lab: ConsoleLab, login: str, address: str) -> bool:
    with lab.services.database.reading() as database:
        return throttle.is_blocked(database, login, address)


def test_after_some_wrong_passwords_even_the_right_one_waits(own_lab: ConsoleLab) -> None:
    own_lab.person(login="ann")
    visitor = own_lab.visitor()
    statuses = [visitor.sign_in("ann", f"guess {number}").status_code for number in range(PER_ACCOUNT)]
    assert statuses == [401] * PER_ACCOUNT
    answer = visitor.sign_in("ann")
    assert answer.status_code == 429 and "Wait a quarter of an hour" in answer.text
    with own_lab.services.database.writing() as database:
        database.execute(update(AttemptRow).values(at=utc_now() - datetime.timedelta(minutes=16)))
    assert visitor.sign_in("ann").status_code == 303


def test_nobody_locks_another_out_from_elsewhere(own_lab: ConsoleLab) -> None:
    fail(own_lab, "ann", "192.0.2.1", PER_ACCOUNT)
    assert blocked(own_lab, "ANN ", "192.0.2.1")
    assert not blocked(own_lab, "ann", "192.0.2.2")
    assert not blocked(own_lab, "bob", "192.0.2.1")


def test_many_names_from_one_address_and_one_name_from_many_addresses_are_stopped(
    own_lab: ConsoleLab,
) -> None:
    for number in range(PER_ADDRESS):
        fail(own_lab, f"name{number}", "192.0.2.1", 1)
    assert blocked(own_lab, "another", "192.0.2.1")
    for number in range(PER_ACCOUNT_EVERYWHERE):
        fail(own_lab, "ann", f"198.51.100.{number}", 1)
    assert blocked(own_lab, "ann", "203.0.113.1")


def test_the_right_password_forgives_the_failures_before_it(own_lab: ConsoleLab) -> None:
    own_lab.person(login="ann")
    visitor = own_lab.visitor()
    for _ in range(PER_ACCOUNT - 1):
        visitor.sign_in("ann", "a wrong one")
    assert visitor.sign_in("ann", PASSWORD).status_code == 303
    assert own_lab.visitor().sign_in("ann", "a wrong one").status_code == 401
