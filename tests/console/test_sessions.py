"""Sessions: they end when they are idle, when they are old, and at once when somebody ends them."""

from __future__ import annotations

import datetime

import pytest
from sqlalchemy import select, update

from console.people import sessions
from console.people.sessions import Limits
from console.store.columns import utc_now
from console.store.people_tables import MembershipRow, PersonRow, SessionRow
from fleet.policy import Grant
from tests.console.lab import OURS, ConsoleLab

pytestmark = pytest.mark.console


def change(lab: ConsoleLab, secret: str, **values: datetime.datetime) -> None:
    with lab.services.database.writing() as database:
        row = SessionRow.token_sha256 == sessions.digest(secret)
        database.execute(update(SessionRow).where(row).values(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"seen_at": utc_now() - Limits().idle - datetime.timedelta(seconds=1)},
        {"ends_at": utc_now() - datetime.timedelta(seconds=1)},
    ],
    ids=["idle", "old"],
)
def test_a_session_ends_by_itself(lab: ConsoleLab, values: dict[str, datetime.datetime]) -> None:
    visitor = lab.signed_in("viewer")
    change(lab, visitor.client.cookies["fleetform-session"], **values)
    assert visitor.get("/").headers["location"] == "/login"


def test_a_session_in_use_goes_on(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    secret = visitor.client.cookies["fleetform-session"]
    change(lab, secret, seen_at=utc_now() - datetime.timedelta(minutes=29))
    assert visitor.get("/").status_code == 200
    with lab.services.database.reading() as database:
        row = database.get_one(SessionRow, sessions.digest(secret))
    assert utc_now() - row.seen_at < datetime.timedelta(minutes=1)


def test_a_page_is_told_before_its_reader_is_signed_out_and_can_put_that_off(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer", language="ko")
    secret = visitor.client.cookies["fleetform-session"]
    headers = {**OURS, "X-Form-Token": visitor.token("/me")}
    assert "로그인 유지" not in visitor.get("/session").text, "the end is far"
    change(lab, secret, seen_at=utc_now() - datetime.timedelta(minutes=29))
    assert all("로그인 유지" in visitor.get("/session").text for _ in range(2)), "asking is no use of it"
    told = visitor.client.post("/session", headers=headers)
    assert "로그인 유지" not in told.text and 'hx-trigger="load delay:16' in told.text
    assert "로그인 유지" not in visitor.get("/session").text


def test_a_sign_in_that_is_old_can_not_be_put_off(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    secret = visitor.client.cookies["fleetform-session"]
    change(lab, secret, ends_at=utc_now() + datetime.timedelta(minutes=1))
    told = visitor.get("/session").text
    assert "You are signed out at" in told and "Stay signed in" not in told
    change(lab, secret, ends_at=utc_now())
    told = visitor.get("/session", **{"HX-Request": "true", "Referer": f"{lab.url}/launch"}).text
    assert "/login?next=/launch" in told and "hx-get" not in told, "it is over, and is not asked for again"


def test_a_disabled_person_is_out_at_the_next_click_and_stays_out(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    with lab.services.database.writing() as database:
        person = next(
            each for each in database.scalars(select(PersonRow)) if each.name.endswith(visitor.login)
        )
        person.disabled_at = utc_now()
    assert visitor.get("/").status_code == 303
    assert visitor.sign_in(visitor.login).status_code == 401


def test_a_role_that_is_taken_away_is_gone_at_the_next_click(lab: ConsoleLab) -> None:
    person = lab.person(Grant("viewer", "tests"))
    with lab.services.database.writing() as database:
        secret = sessions.begin(database, person.id, Limits(), address="", agent="")
    with lab.services.database.writing() as database:
        found = sessions.find(database, secret, Limits())
        assert found is not None and found.person.grants == (Grant("viewer", "tests"),)
        database.delete(database.scalars(select(MembershipRow).filter_by(person_id=person.id)).one())
        database.flush()
        again = sessions.find(database, secret, Limits())
    assert again is not None and again.person.grants == ()


def test_all_other_sessions_of_a_person_can_be_ended_at_once(lab: ConsoleLab) -> None:
    person = lab.person()
    with lab.services.database.writing() as database:
        secrets = [sessions.begin(database, person.id, Limits(), address="", agent="") for _ in range(3)]
        assert sessions.end_all(database, person.id, but=secrets[1]) == 2
        found = [sessions.find(database, secret, Limits()) is not None for secret in secrets]
    assert found == [False, True, False]


def test_the_database_holds_nothing_that_signs_anybody_in(lab: ConsoleLab) -> None:
    secret = lab.signed_in("viewer").client.cookies["fleetform-session"]
    kept = lab.services.settings.data / "console.sqlite3"
    everything = b"".join(file.read_bytes() for file in kept.parent.glob("console.sqlite3*"))
    assert secret.encode() not in everything and b"a horse that nobody rides" not in everything
