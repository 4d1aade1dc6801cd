"""People and roles: who manages whom, invitations, and that nobody is left without an administrator."""

from __future__ import annotations

import datetime
import re

import pytest
from sqlalchemy import update

from console.people.accounts import Person, read_grants
from console.people.sessions import Limits
from console.store.columns import utc_now
from console.store.people_tables import SessionRow, TokenRow
from fleet.policy import EVERY_TEAM, Grant
from tests.console.lab import PASSWORD, ConsoleLab, Visitor

pytestmark = pytest.mark.console


def grants_of(lab: ConsoleLab, person: Person) -> set[Grant]:
    with lab.services.database.reading() as database:
        return set(read_grants(database, person.id))


def invited(admin: Visitor, role: str = "member", team: str = "blue") -> str:
    """Return the token of a new invitation."""
    answer = admin.post("/people/invite", {"role": role, "team": team}, page="/people")
    assert answer.status_code == 200, answer.text
    found = re.search(r"/join\n([\w-]{43})<", answer.text)
    assert found
    return found[1]


def join(lab: ConsoleLab, token: str, login: str = "newcomer") -> tuple[Visitor, int, str]:
    visitor = lab.visitor()
    form = {"token": token, "name": "A Newcomer", "login": login, "password": PASSWORD}
    answer = visitor.post("/join", form, page="/join")
    return visitor, answer.status_code, answer.text


def test_an_invitation_makes_one_account_with_its_role(own_lab: ConsoleLab) -> None:
    token = invited(own_lab.signed_in("admin", team="blue"))
    visitor, status, _ = join(own_lab, token)
    assert status == 303 and "member, blue" in visitor.get("/me").text
    assert join(own_lab, token, "another")[1] == 422


def test_an_invitation_ends_after_a_week_and_a_taken_login_name_does_not_use_it_up(
    own_lab: ConsoleLab,
) -> None:
    admin = own_lab.signed_in("admin", team="blue")
    token = invited(admin)
    status, page = join(own_lab, token, admin.login)[1:]
    assert status == 422 and "Somebody else has this login name." in page
    assert join(own_lab, token)[1] == 303
    late = invited(admin)
    with own_lab.services.database.writing() as database:
        database.execute(update(TokenRow).values(expires_at=utc_now() - datetime.timedelta(seconds=1)))
    assert join(own_lab, late, "latecomer")[1] == 422


def test_an_administrator_of_a_team_manages_that_team_alone(lab: ConsoleLab) -> None:
    admin = lab.signed_in("admin", team="blue")
    mine = lab.person(Grant("viewer", "blue"), name="One of Blue")
    theirs = lab.person(Grant("viewer", "red"), name="One of Red")
    page = admin.get("/people").text
    assert "One of Blue" in page and "One of Red" not in page
    give = {"role": "operator", "team": "blue"}
    assert admin.post(f"/people/{mine.id}/grant", give, page="/people").status_code == 303
    assert Grant("operator", "blue") in grants_of(lab, mine)
    assert admin.post(f"/people/{mine.id}/take", give, page="/people").status_code == 303
    assert grants_of(lab, mine) == {Grant("viewer", "blue")}
    assert admin.post(f"/people/{theirs.id}/grant", give, page="/people").status_code == 404
    for team in ("red", EVERY_TEAM):
        wanted = {"role": "admin", "team": team}
        assert admin.post(f"/people/{mine.id}/grant", wanted, page="/people").status_code == 404
        assert admin.post("/people/invite", wanted, page="/people").status_code == 404
    assert admin.post(f"/people/{mine.id}/disable", {}, page="/people").status_code == 404
    assert grants_of(lab, theirs) == {Grant("viewer", "red")}


@pytest.mark.parametrize("role", ["viewer", "member", "operator", "approver", "auditor"])
def test_who_manages_nobody_is_not_let_in(lab: ConsoleLab, role: str) -> None:
    visitor = lab.signed_in(role, team=EVERY_TEAM)  # type: ignore[arg-type]
    answer = visitor.get("/people")
    assert answer.status_code == 403 and "It takes: administrator." in answer.text
    person = lab.person()
    form = {"role": "admin", "team": EVERY_TEAM}
    assert visitor.post(f"/people/{person.id}/grant", form, page="/").status_code == 403
    assert "/people" not in visitor.get("/").text, "and it is not offered"


@pytest.mark.parametrize(
    ("role", "team"),
    [("king", "blue"), ("member", "Blue"), ("member", "a/b"), ("member", "b\r\nX: y"), ("", "")],
)
def test_roles_and_teams_that_there_are_not_cannot_be_given(lab: ConsoleLab, role: str, team: str) -> None:
    admin = lab.signed_in("admin", team=EVERY_TEAM)
    person = lab.person()
    answer = admin.post(f"/people/{person.id}/grant", {"role": role, "team": team}, page="/people")
    assert answer.status_code in (404, 422)
    assert grants_of(lab, person) == set()


def test_somebody_who_is_kept_out_is_out_at_once_until_let_in_again(own_lab: ConsoleLab) -> None:
    admin = own_lab.signed_in("admin", team=EVERY_TEAM)
    person, visitor = own_lab.person(login="bob"), own_lab.visitor()
    visitor.sign_in("bob")
    admin.post(f"/people/{person.id}/disable", {}, page="/people")
    assert visitor.get("/").status_code == 303 and visitor.sign_in("bob").status_code == 401
    admin.post(f"/people/{person.id}/enable", {}, page="/people")
    assert visitor.get("/").status_code == 303, "the old session stays ended"
    assert visitor.sign_in("bob").status_code == 303


def test_the_last_administrator_stays_one(own_lab: ConsoleLab) -> None:
    admin = own_lab.signed_in("admin", team=EVERY_TEAM)
    own = re.search(r"/people/([0-9a-f]{16})/take", admin.get("/people").text)
    assert own
    role = {"role": "admin", "team": EVERY_TEAM}
    answer = admin.post(f"/people/{own[1]}/take", role, page="/people")
    assert answer.status_code == 409 and "Nobody else manages the people of every team." in answer.text
    assert admin.post(f"/people/{own[1]}/disable", {}, page="/people").status_code == 409
    own_lab.person(Grant("admin", EVERY_TEAM))
    assert admin.post(f"/people/{own[1]}/take", role, page="/people").status_code == 303
    assert admin.get("/people").status_code == 404


def make_stale(lab: ConsoleLab) -> None:
    """Let everybody's last proof of who they are be six minutes old."""
    with lab.services.database.writing() as database:
        long_ago = utc_now() - Limits().fresh - datetime.timedelta(minutes=1)
        database.execute(update(SessionRow).values(proved_at=long_ago))


def test_rights_are_changed_only_by_who_has_just_proved_who_they_are(own_lab: ConsoleLab) -> None:
    admin, person = own_lab.signed_in("admin", team=EVERY_TEAM), own_lab.person()
    make_stale(own_lab)
    form = {"role": "member", "team": "blue", "form_token": admin.token("/people")}
    headers = {"Sec-Fetch-Site": "same-origin", "Referer": f"{own_lab.url}/people"}
    answer = admin.client.post(f"/people/{person.id}/grant", data=form, headers=headers)
    assert (answer.status_code, answer.headers["location"]) == (303, "/prove?next=/people")
    assert grants_of(own_lab, person) == set()
    wrong = admin.post("/prove", {"password": "no", "next_page": "/people"}, page="/prove")
    assert wrong.status_code == 401 and "The password is wrong." in wrong.text
    right = admin.post("/prove", {"password": PASSWORD, "next_page": "/people"}, page="/prove")
    assert right.headers["location"] == "/people"
    admin.post(f"/people/{person.id}/grant", {"role": "member", "team": "blue"}, page="/people")
    assert grants_of(own_lab, person) == {Grant("member", "blue")}


def test_another_site_cannot_choose_where_a_proof_leads(own_lab: ConsoleLab) -> None:
    admin = own_lab.signed_in("admin", team=EVERY_TEAM)
    make_stale(own_lab)
    form = {"role": "member", "team": "blue", "form_token": admin.token("/people")}
    elsewhere = (
        "https://evil.example/people",
        f"{own_lab.url}.evil.example/",
        f"{own_lab.url}//evil.example",
    )
    for referer in elsewhere:
        headers = {"Sec-Fetch-Site": "same-origin", "Referer": referer}
        answer = admin.client.post("/people/invite", data=form, headers=headers)
        assert answer.headers["location"] == "/prove"


def test_a_new_password_ends_all_other_sessions_and_is_the_only_one(own_lab: ConsoleLab) -> None:
    visitor, other = own_lab.signed_in("viewer"), own_lab.visitor()
    other.sign_in(visitor.login)
    assert visitor.get("/me").text.count("<tr>") == 3
    answer = visitor.post("/me/password", {"password": "short"}, page="/me")
    assert answer.status_code == 422 and "It needs 12 characters at least." in answer.text
    answer = visitor.post("/me/password", {"password": "another one of mine"}, page="/me")
    assert answer.headers["location"] == "/me?changed=true"
    assert visitor.get("/me").status_code == 200 and other.get("/me").status_code == 303
    assert other.sign_in(visitor.login).status_code == 401
    assert other.sign_in(visitor.login, "another one of mine").status_code == 303


def test_other_browsers_can_be_signed_out(own_lab: ConsoleLab) -> None:
    visitor, other = own_lab.signed_in("viewer"), own_lab.visitor()
    other.sign_in(visitor.login)
    assert visitor.post("/me/end-others", {}, page="/me").status_code == 303
    assert visitor.get("/").status_code == 200 and other.get("/").status_code == 303


def test_a_role_in_every_team_is_not_what_is_offered_first(own_lab: ConsoleLab) -> None:
    own_lab.person(Grant("viewer", "zebra"))
    page = own_lab.signed_in("admin", team=EVERY_TEAM).get("/people").text
    offered = page.partition('id="invite-team"')[2].partition("</select>")[0]
    assert re.findall(r'value="([^"]+)"', offered) == ["zebra", EVERY_TEAM]
