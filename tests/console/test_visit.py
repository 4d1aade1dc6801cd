"""What a page asks of a visit: whether something is allowed; a refusal is on record."""

from __future__ import annotations

import datetime

import pytest
from fastapi import Request

from console.people.sessions import SignedIn
from console.store.columns import utc_now
from console.store.waiting import all_waiting
from console.web.mistakes import NotAllowedError, NotProvedError, NotThereError
from console.web.visit import Visit
from console.words.reader import Reader
from fleet.policy import Grant
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab

pytestmark = pytest.mark.console


def visit(lab: ConsoleLab, *grants: Grant, proved: int = 0) -> Visit:
    """Return the visit of somebody who proved who they are so many minutes ago."""
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "client": ("192.0.2.1", 1)}
    at = utc_now() - datetime.timedelta(minutes=proved)
    signed_in = SignedIn(lab.person(*grants), "secret", at, at, at)
    return Visit(Request(scope), lab.services, Reader("en", "UTC"), signed_in)


def refusals(lab: ConsoleLab, visit: Visit) -> list[dict[str, object]]:
    with lab.services.database.reading() as database:
        return [
            each.about
            for each in all_waiting(database)
            if each.event == "console.refuse" and each.asked_by["id"] == visit.person.id
        ]


def test_what_is_allowed_is_not_recorded_as_refused(lab: ConsoleLab) -> None:
    operator = visit(lab, Grant("operator", "blue"))
    operator.require("environment.down", ("red", "blue"))
    assert refusals(lab, operator) == []


def test_who_may_see_it_is_told_which_role_it_takes_and_it_is_on_record(lab: ConsoleLab) -> None:
    viewer = visit(lab, Grant("viewer", "blue"))
    with pytest.raises(NotAllowedError) as refused:
        viewer.require("environment.down", "blue")
    assert refused.value.roles == ("operator",)
    assert refusals(lab, viewer) == [{"verb": "environment.down", "teams": ["blue"], "path": "/x"}]


def test_who_may_not_see_it_is_told_that_there_is_nothing_and_it_is_on_record(lab: ConsoleLab) -> None:
    stranger = visit(lab, Grant("operator", "red"))
    with pytest.raises(NotThereError):
        stranger.require("run.see", "blue")
    assert len(refusals(lab, stranger)) == 1


def test_a_proof_of_who_one_is_holds_for_five_minutes(lab: ConsoleLab) -> None:
    visit(lab, proved=4).require_fresh()
    with pytest.raises(NotProvedError):
        visit(lab, proved=6).require_fresh()


@pytest.mark.sandbox
def test_another_teams_environment_is_not_there_and_asking_for_it_is_on_record(studio: Studio) -> None:
    stranger = visit(studio.lab, Grant("operator", "others"))
    assert stranger.environment("vault", "environment.down").name == "vault"
    for name in ("studio", "nowhere", "../vault", "vault\n"):
        with pytest.raises(NotThereError):
            stranger.environment(name)
    refused = [
        entry
        for entry in studio.environment.session.ledger.entries()
        if entry["event"] == "console.refuse" and entry["actor"]["asked_by"]["id"] == stranger.person.id
    ]
    assert [entry["details"]["teams"] for entry in refused] == [["tests"]]


@pytest.mark.sandbox
def test_an_environments_session_lives_on_while_its_files_say_the_same(studio: Studio) -> None:
    viewer = visit(studio.lab, Grant("viewer", "*"))
    first = viewer.environment("studio").session
    watched = studio.lab.services.estate._watched["studio"]
    assert first is not None and watched._look().session is first
