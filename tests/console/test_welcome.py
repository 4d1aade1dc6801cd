"""The first account: by the token on the terminal, once, and for nobody else."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import update

from console.serve import greeting
from console.store.columns import utc_now
from console.store.people_tables import TokenRow
from fleet.policy import Grant
from tests.console.lab import ConsoleLab, Visitor

pytestmark = pytest.mark.console


def token_of(lab: ConsoleLab) -> str:
    return greeting(lab.services)[-1].rpartition(" ")[2]


def make_first(visitor: Visitor, token: str, **changed: str) -> tuple[int, str]:
    form = {"token": token, "name": "Ann Lee", "login": "ann", "password": "four words make one"}
    answer = visitor.post("/welcome", {**form, **changed}, page="/welcome")
    return answer.status_code, answer.text


def test_the_first_account_is_made_with_the_token_and_may_manage_build_and_audit(own_lab: ConsoleLab) -> None:
    token, visitor = token_of(own_lab), own_lab.visitor()
    assert make_first(visitor, token.lower())[0] == 303
    page = visitor.get("/")
    assert page.status_code == 200 and "Ann Lee" in page.text
    again = own_lab.visitor()
    assert again.sign_in("ann", "four words make one").status_code == 303


def test_there_is_no_first_account_once_there_is_one(own_lab: ConsoleLab) -> None:
    token = token_of(own_lab)
    own_lab.person()
    assert own_lab.visitor().get("/welcome").status_code == 404
    form = {"token": token, "name": "Eve", "login": "eve", "password": "four words make one"}
    assert own_lab.visitor().post("/welcome", form).status_code == 404
    assert len(greeting(own_lab.services)) == 1, "nor a token for another one"


def test_a_token_is_good_once_and_for_a_day_and_the_next_start_makes_it_void(own_lab: ConsoleLab) -> None:
    first, second = token_of(own_lab), token_of(own_lab)
    assert make_first(own_lab.visitor(), first)[0] == 422
    with own_lab.services.database.writing() as database:
        database.execute(update(TokenRow).values(expires_at=utc_now() - datetime.timedelta(seconds=1)))
    status, page = make_first(own_lab.visitor(), second)
    assert status == 422 and "it is too old" in page


def test_the_token_cannot_be_guessed_at(own_lab: ConsoleLab) -> None:
    token, visitor = token_of(own_lab), own_lab.visitor()
    statuses = [make_first(visitor, f"GUESS-{number}")[0] for number in range(9)]
    assert statuses == [422] * 8 + [429]
    assert make_first(visitor, token)[0] == 429


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"password": "short"}, "It needs 12 characters at least."),
        ({"password": "aaaaaaaaaaaaaaaa"}, "It needs more different characters."),
        ({"password": "this is ann of course"}, "It must not contain the login name."),
        ({"password": "x" * 300}, "It may have 256 characters at most."),
        ({"login": "a"}, "Use 2 to 64 letters"),
        ({"login": "ann<script>"}, "Use 2 to 64 letters"),
        ({"name": " "}, "Say who you are."),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_the_token_is_not_used_up(
    own_lab: ConsoleLab, changed: dict[str, str], told: str
) -> None:
    token, visitor = token_of(own_lab), own_lab.visitor()
    status, page = make_first(visitor, token, **changed)
    assert status == 422 and told in page
    assert changed.get("password", "four words make one") not in page, "a password is never sent back"
    assert make_first(visitor, token)[0] == 303


def test_a_name_is_text_and_no_markup(own_lab: ConsoleLab) -> None:
    visitor = own_lab.visitor()
    make_first(visitor, token_of(own_lab), name="<img src=x onerror=alert(1)>")
    page = visitor.get("/").text
    assert "&lt;img src=x onerror=alert(1)&gt;" in page and "<img" not in page


def test_nobody_has_an_account_by_default(own_lab: ConsoleLab) -> None:
    for login in ("admin", "root", "fleetform"):
        assert own_lab.visitor().sign_in(login, login).status_code == 401
    assert Grant("admin", "*") not in own_lab.person().grants
