"""Another team's things by their ids: on every route as if they were not there, and the attempt on record."""

from __future__ import annotations

import re

import pytest

from fleet.policy import Grant
from fleet.submit import new_run_id
from tests.console.conftest import Studio
from tests.console.lab import OURS, Visitor
from tests.console.routes_table import ROUTES
from tests.console.samples import Samples, absent, make_samples
from tests.run_directories import ENDED, make

pytestmark = [pytest.mark.console, pytest.mark.sandbox]

NAMING = sorted(
    (method, template)
    for method, template in ROUTES
    if "{" in template and not template.startswith(("/static/", "/known/"))
)
"""The routes that name something which is somebody's."""
ROLES = ("member", "operator", "approver", "auditor", "admin")
FORM = {
    "team": "tests", "role": "viewer", "typed": "studio", "reason": "because", "password": "x" * 20,
    "answer": "approved",
}  # fmt: skip
"""What the forms of such routes want to have in them."""


@pytest.fixture(scope="module")
def samples(studio: Studio) -> Samples:
    return make_samples(studio.lab.services, "studio", "tests", studio.run_id)


@pytest.fixture(scope="module")
def stranger(studio: Studio) -> Visitor:
    """Somebody who may do everything, in another team."""
    person = studio.lab.person(*(Grant(role, "others") for role in ROLES))
    visitor = studio.lab.visitor()
    visitor.login = person.subject
    assert visitor.sign_in(person.subject).status_code == 303
    return visitor


def ask(visitor: Visitor, method: str, path: str) -> tuple[int, str]:
    """Return the status and the text of the answer to a request that is otherwise as it should be.

    Without the seconds until the asker is signed out, which go by between two answers.
    """
    headers = {**OURS, "X-Form-Token": visitor.token("/me")}
    form = FORM if method == "POST" else None
    answer = visitor.client.request(method, path, data=form, headers=headers)
    return answer.status_code, re.sub(r"delay:\d+s", "delay", answer.text)


@pytest.mark.parametrize(("method", "template"), NAMING)
def test_what_is_another_teams_is_not_there(
    studio: Studio, samples: Samples, stranger: Visitor, method: str, template: str
) -> None:
    ledger, path = studio.environment.session.ledger, samples.path(template)
    before = ledger.tail()[0]
    status, text = ask(stranger, method, path)
    assert status == 404, text
    nothing_there = ask(stranger, method, absent(template))
    assert nothing_there[0] == 404
    shown, expected = text.replace(path, "PATH"), nothing_there[1].replace(absent(template), "PATH")
    assert shown == expected, "the answer tells it from what there is not"
    refused = [
        each["details"]["path"]
        for each in ledger.entries_from(before + 1, 50)
        if each["event"] == "console.refuse" and each["actor"]["asked_by"]["subject"] == stranger.login
    ]
    assert path in refused, "nothing on record tells of the attempt"


def test_a_run_of_a_team_that_shares_the_environment_is_not_there_either(studio: Studio) -> None:
    ledger, theirs = studio.environment.session.ledger, f"blue-{new_run_id()}"
    make(studio.environment.store, theirs, *ENDED, team="blue")
    visitor = studio.lab.signed_in("operator")
    for method, template in NAMING:
        if "{run_id}" in template:
            path = template.format(name="studio", run_id=theirs)
            before = ledger.tail()[0]
            assert ask(visitor, method, path)[0] == 404, path
            entries = ledger.entries_from(before + 1, 50)
            assert path in [each["details"].get("path") for each in entries], path


def test_what_is_ones_own_is_there(studio: Studio, samples: Samples) -> None:
    """The ids are good ones: who may see them does."""
    visitor = studio.lab.signed_in("operator")
    for template in ("/environments/{name}/runs/{run_id}", "/acts/{act_id}", "/receipts/{name}"):
        assert visitor.get(samples.path(template)).status_code == 200, template
