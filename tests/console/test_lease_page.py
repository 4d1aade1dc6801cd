"""The page of a lease: when it ends, and putting that off by a day that is offered, for a reason."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, expect

from console.acts.spec import Extend, command_of, read_act, to_dict, verb_of
from console.acts.watch import Place
from console.pages.lease import days_to_choose
from fleet.lease import LeaseStatus
from fleet.policy import Grant
from stacks import naming
from tests.console.acting import going_on
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio
from tests.teardown_parts import put_state

pytestmark = pytest.mark.console
LEASE = "/environments/studio/lease"
TODAY = datetime.date(2026, 11, 23)
STATUS = LeaseStatus(
    environment="studio", declared=datetime.date(2026, 12, 1), standing=datetime.date(2026, 12, 1),
    today=TODAY, latest=datetime.date(2026, 12, 20), warn_days=(7, 1), emails=(), at_rest=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def standing(studio: Studio) -> Iterator[Studio]:
    """The studio, of whose stacks a state says that the base stands."""
    session = studio.environment.session
    s3, bucket = session.client("s3"), naming.state_bucket("run-tests", "us-east-1")
    s3.create_bucket(Bucket=bucket)
    put_state(session, "studio-base", aws_vpc__main="vpc-1")
    yield studio
    s3.delete_object(Bucket=bucket, Key=naming.state_key("studio-base"))
    s3.delete_bucket(Bucket=bucket)


def days(status: LeaseStatus) -> list[int]:
    """Return by how many days the end may be put off."""
    return [(day - status.declared).days for day in days_to_choose(status)]


def test_the_days_that_are_offered_end_with_the_latest_that_the_account_allows() -> None:
    assert days(STATUS) == [1, 2, 3, 7, 14, 19]
    assert days(replace(STATUS, latest=datetime.date(2026, 12, 15))) == [1, 2, 3, 7, 14]
    assert days(replace(STATUS, latest=STATUS.declared)) == []


def test_a_lease_that_is_over_goes_on_from_today() -> None:
    over = replace(STATUS, declared=datetime.date(2026, 11, 1), standing=datetime.date(2026, 11, 1))
    assert days_to_choose(over)[0] == TODAY


def test_an_extension_is_an_act_with_its_right_and_its_command() -> None:
    act = Extend(environment="studio", until=datetime.date(2026, 12, 20), reason="it's late")
    assert (verb_of(act), read_act(to_dict(act))) == ("lease.extend", act)
    assert command_of(act) == (
        "fleetform lease extend studio --until 2026-12-20 --reason 'it'\"'\"'s late' --yes"
    )


@pytest.mark.sandbox
def test_everybody_reads_when_it_ends_and_who_may_puts_it_off(standing: Studio) -> None:
    member = standing.lab.signed_in("member").get(LEASE).text
    assert "When it ends" in member and "The account itself ends its machines" in member
    assert "It takes: approver." in member and "<fieldset" not in member
    assert standing.lab.signed_in("member").post(LEASE, {}, page=LEASE).status_code == 403
    approver = standing.lab.signed_in("approver").get(LEASE).text
    assert 'name="until"' in approver and "fleetform lease show studio" in approver


@pytest.mark.sandbox
def test_what_is_not_built_has_nothing_to_put_off(studio: Studio) -> None:
    page = studio.lab.signed_in("approver", team="others").get("/environments/vault/lease").text
    assert "there is nothing to put off" in page and 'name="until"' not in page


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("until", "reason", "said"),
    [("", "late", "Choose one of these days."), ("2999-01-01", "late", "Choose one of these days."),
     ("x\r\ny", "late", "Choose one of these days."), (None, " \n ", "Say why in a few words.")],
)  # fmt: skip
def test_what_is_missing_is_said_at_its_field(
    standing: Studio, until: str | None, reason: str, said: str
) -> None:
    visitor = standing.lab.signed_in("approver")
    offered = re.findall(r'name="until" value="([^"]+)"', visitor.get(LEASE).text)
    answer = visitor.post(
        LEASE, {"until": offered[0] if until is None else until, "reason": reason}, page=LEASE
    )
    assert answer.status_code == 422 and said in answer.text


@pytest.mark.sandbox
def test_a_click_puts_it_off_in_the_name_of_who_clicks(standing: Studio) -> None:
    person, visitor = standing.lab.person(Grant("approver", "tests")), standing.lab.visitor()
    visitor.sign_in(person.subject)
    until = re.findall(r'name="until" value="([^"]+)"', visitor.get(LEASE).text)[0]
    act = Extend(environment="studio", until=datetime.date.fromisoformat(until), reason="late by a day")
    place = Place(standing.lab.services.settings, standing.lab.services.database)
    with going_on(place, person, act) as act_id:
        answer = visitor.post(LEASE, {"until": until, "reason": " late by \n a day "}, page=LEASE)
        assert answer.headers["location"] == f"/acts/{act_id}", "it is the very act that goes on"
        assert "Extend the lease of studio" in visitor.get(f"/acts/{act_id}").text


@pytest.mark.sandbox
@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_form_reads_well(
    standing: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = standing.lab.person(Grant("approver", "tests"))
    with window(chromium, standing.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        page = seen.open(LEASE)
        assert_accessible(page)
        page.locator("input[name=until]").first.check()
        page.locator("button.main").click()
        expect(page.locator("#reason-fault")).to_be_visible()
        expect(page.locator("input[name=until]").first).to_be_checked()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        seen.troubles[:] = [each for each in seen.troubles if "422" not in each]
