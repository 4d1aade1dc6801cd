"""In and out: the sign-in by the form, where it leads, and what is left of a session after its end."""

from __future__ import annotations

import pytest

from console.web.next_page import safe_path, sign_in_path
from fleet.policy import Grant
from tests.console.conftest import DEAR
from tests.console.lab import OURS, ConsoleLab

pytestmark = pytest.mark.console


def test_whoever_is_not_signed_in_is_led_to_the_sign_in_and_from_there_back(lab: ConsoleLab) -> None:
    person, visitor = lab.person(), lab.visitor()
    answer = visitor.get("/?a=b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/%3Fa%3Db")
    form = visitor.get(answer.headers["location"])
    assert 'name="next_page" value="/?a=b"' in form.text
    assert visitor.sign_in(person.subject, next_page="/?a=b").headers["location"] == "/?a=b"


def test_a_login_name_counts_in_whichever_case_and_width_it_is_typed(lab: ConsoleLab) -> None:
    lab.person(login="ann.lee")
    assert lab.visitor().sign_in(" ANN.\uff2cee ").status_code == 303


@pytest.mark.parametrize(
    "asked",
    [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "///evil.example",
        "evil.example",
        "",
        "/a\r\nLocation: //evil.example",
        "/" + "a" * 600,
    ],
)
def test_no_sign_in_leads_to_another_host(lab: ConsoleLab, asked: str) -> None:
    assert safe_path(asked) == "/"
    person = lab.person()
    assert lab.visitor().sign_in(person.subject, next_page=asked).headers["location"] == "/"


def test_a_path_of_ours_is_led_to_with_its_query() -> None:
    assert safe_path("/environments/a?b=c&d=%2F") == "/environments/a?b=c&d=%2F"
    assert sign_in_path("/a?b=c&d=e") == "/login?next=/a%3Fb%3Dc%26d%3De"


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(lab: ConsoleLab) -> None:
    lab.person(login="known")
    wrong = lab.visitor().sign_in("known", "not the password")
    unknown = lab.visitor().sign_in("nobody", "not the password")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    told = "The login name or the password is wrong."
    assert told in wrong.text and told in unknown.text


def test_a_session_is_good_for_nothing_after_its_logout(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    stolen = dict(visitor.client.cookies)
    assert visitor.get("/").status_code == 200
    assert visitor.post("/logout", {}, page="/").headers["location"] == "/login"
    thief = lab.visitor()
    for name, value in stolen.items():
        thief.client.cookies.set(name, value)
    assert thief.get("/").headers["location"] == "/login"


def test_a_sign_in_ends_the_session_that_the_browser_had_and_makes_a_new_one(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    before = visitor.client.cookies["fleetform-session"]
    other = lab.person()
    form = {"form_token": visitor.token("/"), "login": other.subject, "password": "a horse that nobody rides"}
    assert visitor.client.post("/login", data=form, headers=OURS).status_code == 303
    after = visitor.client.cookies["fleetform-session"]
    assert after != before
    thief = lab.visitor()
    thief.client.cookies.set("fleetform-session", before)
    assert thief.get("/").status_code == 303


def test_the_session_cookie_is_no_scripts_and_no_other_sites(lab: ConsoleLab) -> None:
    person = lab.person(Grant("viewer", "*"))
    answer = lab.visitor().sign_in(person.subject)
    cookie = next(each for each in answer.headers.get_list("set-cookie") if "session" in each)
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert person.id not in cookie and person.subject not in cookie


@pytest.mark.parametrize("form", [{}, {"login": "a"}, {"login": "a" * 300, "password": "b"}])
def test_a_form_with_holes_is_no_error_of_ours(lab: ConsoleLab, form: dict[str, str]) -> None:
    assert lab.visitor().post("/login", form).status_code == 422


def test_a_password_is_kept_with_the_work_that_rfc_9106_recommends() -> None:
    assert DEAR.hash("a horse that nobody rides").startswith("$argon2id$v=19$m=65536,t=3,p=4$")
