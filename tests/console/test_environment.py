"""The page of one environment: how it stands in plain words, live, and nothing of another team."""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from console.acts.spec import Act, Down, Launch, Up
from console.acts.watch import ActStatus, Place
from console.pages import environment_view
from console.pages.environment_later import changes_of
from console.people import sessions
from console.store.columns import utc_now
from console.store.people_tables import SessionRow
from fleet.glance import Built, Machines
from fleet.policy import Grant
from tests.console.acting import going_on
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio
from tests.console.test_home import ENGLISH, GLANCE, MACHINES, STANDING
from tests.console.test_sessions import change

pytestmark = pytest.mark.console
STUDIO = "/environments/studio"
PARTS = ("/now", "/money", "/changes")
NONE = replace(MACHINES, busy=0, idle=0)
IDLE = replace(MACHINES, busy=0)


def act_status(act: Act) -> ActStatus:
    """Return an act that goes on."""
    return ActStatus(
        id="1",
        person_id="1",
        act=act,
        command="",
        state="working",
        created_at=utc_now(),
        ended_at=None,
        said={},
    )


@pytest.mark.parametrize(
    ("built", "machines", "name", "said"),
    [
        ("nothing", NONE, "not built", "it costs nothing"),
        ("base", NONE, "no machines", "with all data in it"),
        ("half", NONE, "partly built", "did not come to its end"),
        ("all", MACHINES, "busy", "runs are on its machines"),
        ("all", IDLE, "ready", "wait for something to do"),
        ("all", NONE, "ready", "Its queue starts machines"),
    ],
)
def test_how_it_stands_is_said_in_plain_words(built: Built, machines: Machines, name: str, said: str) -> None:
    standing = replace(STANDING, glance=replace(GLANCE, built=built, machines=machines))
    found = environment_view.state(ENGLISH, standing, [])
    assert found.name == name and said in found.sentence


def test_what_is_being_done_to_it_goes_before_what_stands() -> None:
    half = replace(STANDING, glance=replace(GLANCE, built="half"))
    launch = Launch(environment="studio", run="r-1", recipe="digits", build=True)
    for act, name in (
        (Up(environment="studio"), "being built"),
        (launch, "being built"),
        (launch.model_copy(update={"build": False}), "partly built"),
        (Down(environment="studio"), "being torn down"),
    ):
        assert environment_view.state(ENGLISH, half, [act_status(act)]).name == name
    up = [act_status(Up(environment="studio"))]
    assert environment_view.state(ENGLISH, STANDING, up).name == "busy", (
        "it stands, and is brought up to date"
    )
    unseen = replace(STANDING, glance=None)
    assert environment_view.state(ENGLISH, unseen, []).name == "not known"


def entry(sequence: int, event: str, outcome: str, **details: str) -> dict[str, Any]:
    told = {"sequence": sequence, "time": "2026-11-23T10:00:00Z", "event": event, "outcome": outcome}
    return {**told, "actor": {}, "details": details}


def test_an_act_is_told_once_with_what_was_said_at_its_beginning_and_at_its_end() -> None:
    found = changes_of(
        [
            entry(1, "environment.up", "started"),
            entry(2, "environment.up", "failed", cause="no room"),
            entry(3, "lease.extended", "started", reason="late"),
            entry(4, "environment.up", "started"),
            entry(5, "environment.up", "succeeded"),
            entry(6, "lease.extended", "succeeded", ready="1 of 1"),
            entry(7, "environment.down", "started"),
        ]
    )
    assert [(each.sequence, each.outcome) for each in found] == [
        (7, "started"),
        (6, "succeeded"),
        (5, "succeeded"),
        (2, "failed"),
    ]
    assert found[1].details == {"reason": "late", "ready": "1 of 1"}


# ------------------------------------------------------------------------------ over the sandbox


@pytest.mark.sandbox
def test_the_page_says_what_stands_what_it_costs_and_who_may_enter(studio: Studio) -> None:
    page = studio.lab.signed_in("viewer").get(STUDIO).text
    assert "How it stands" in page and "g5.xlarge" in page and "m6i.large" in page
    assert "Machines for runs, while they run" in page
    runs = re.findall(rf'href="{STUDIO}/runs/([a-z0-9-]+)"', page)
    assert runs and set(runs) <= set(studio.environment.store.run_ids()), "the newest: other tests add some"
    assert "People enter by Session Manager alone" in page and "tests@example.com" in page
    assert "fleetform top studio --once" in page and "fleetform budget studio" in page
    for part in PARTS[1:]:
        assert f'hx-get="{STUDIO}{part}"' in page
    assert "Spent this month" not in page, "what takes long comes later"
    whole = studio.lab.signed_in("viewer", language="ko-KR").get(f"{STUDIO}?look=1").text
    assert "이번 달 사용액" in whole and "최근 변경" in whole and 'hx-trigger="load"' not in whole


@pytest.mark.sandbox
def test_what_one_may_do_is_offered_and_nothing_else(studio: Studio) -> None:
    assert f'href="{STUDIO}/down"' in studio.lab.signed_in("operator").get(STUDIO).text
    page = studio.lab.signed_in("viewer").get(STUDIO).text
    assert f'href="{STUDIO}/lease"' in page and f'href="{STUDIO}/runs"' in page
    assert f'href="{STUDIO}/down"' not in page and f'action="{STUDIO}/up"' not in page
    assert 'href="/launch' not in page


@pytest.mark.sandbox
def test_another_teams_environment_is_as_if_it_were_not_there(studio: Studio) -> None:
    visitor = studio.lab.signed_in("operator", team="tests")
    for part in ("", *PARTS, "/lease"):
        assert visitor.get(f"/environments/vault{part}").status_code == 404
        assert visitor.get(f"/environments/nothing{part}").status_code == 404
    assert visitor.post("/environments/vault/up", {"agreed": "0"}, page=STUDIO).status_code == 404


@pytest.mark.sandbox
def test_what_is_not_built_is_built_at_the_price_that_was_shown(studio: Studio) -> None:
    vault, person = "/environments/vault", studio.lab.person(Grant("operator", "others"))
    visitor = studio.lab.visitor()
    visitor.sign_in(person.subject)
    page = visitor.get(vault).text
    assert "not built" in page and "From then on it costs $" in page
    agreed = re.findall(r'name="agreed" value="([^"]+)"', page)[0]
    assert visitor.post(f"{vault}/up", {"agreed": "0.0"}, page=vault).status_code == 409
    assert studio.lab.signed_in("viewer", team="others").post(f"{vault}/up", {}, page="/").status_code == 403
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    with going_on(place, person, Up(environment="vault")) as act_id:
        page = visitor.get(vault).text
        assert (
            "being built" in page and f'href="/acts/{act_id}"' in page and f'action="{vault}/up"' not in page
        )
        answer = visitor.post(f"{vault}/up", {"agreed": agreed}, page=vault)
        assert answer.headers["location"] == f"/acts/{act_id}", "a second click starts nothing"
    assert "cut off" in visitor.get(vault).text


@pytest.mark.sandbox
@pytest.mark.parametrize("page", ["/", STUDIO])
def test_a_part_is_sent_again_only_where_it_has_changed(studio: Studio, page: str) -> None:
    visitor = studio.lab.signed_in("viewer")

    def again() -> int:
        path = re.findall(r'data-live hx-get="([^"]+)"', visitor.get(page).text)[0]
        return visitor.get(path).status_code

    assert 204 in [again() for _ in range(5)]  # more than once, for a minute may be over in between
    assert "data-live" in visitor.get(f"{'/cards' if page == '/' else STUDIO + '/now'}?seen=other").text


@pytest.mark.sandbox
def test_a_page_that_is_left_open_does_not_keep_its_session_alive(studio: Studio) -> None:
    visitor, before = studio.lab.signed_in("viewer"), utc_now() - datetime.timedelta(minutes=20)
    secret = visitor.client.cookies["fleetform-session"]
    change(studio.lab, secret, seen_at=before)
    for path in ("/cards", f"{STUDIO}/now"):
        assert visitor.get(path).status_code == 200
    with studio.lab.services.database.reading() as database:
        assert database.get_one(SessionRow, sessions.digest(secret)).seen_at == before
    change(studio.lab, secret, ends_at=before)
    answer = visitor.get(f"{STUDIO}/now", **{"HX-Request": "true", "Referer": f"{studio.lab.url}{STUDIO}"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (204, f"/login?next={STUDIO}")


# ------------------------------------------------------------------------------ in a browser


@pytest.mark.sandbox
@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_page_reads_well_and_its_parts_come(
    studio: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = studio.lab.person(Grant("operator", "tests"), Grant("approver", "tests"))
    with window(chromium, studio.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        page = seen.open(STUDIO)
        expect(page.locator("[data-later]")).to_have_count(0, timeout=30_000)
        expect(page.locator("#money-title ~ div table")).to_be_visible()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        page = seen.open(f"{STUDIO}/lease")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


@pytest.mark.sandbox
@pytest.mark.browser
def test_live_updates_come_keep_the_focus_and_can_be_paused(studio: Studio, chromium: Browser) -> None:
    person = studio.lab.person(Grant("viewer", "tests"))
    with window(chromium, studio.lab) as seen:
        page = seen.sign_in(person.subject)
        page.locator("#to-studio").focus()
        # As though the page showed something else: so that the next look is sent whole.
        page.route("**/cards?seen=*", lambda route: route.continue_(url=f"{seen.url}/cards?seen=other"))
        page.evaluate("document.getElementById('cards').dataset.old = 'yes'")
        expect(page.locator("#cards[data-old]")).to_have_count(0, timeout=20_000)
        assert page.evaluate("document.activeElement.id") == "to-studio"
        page.get_by_role("button", name="Pause live updates").click()
        expect(page.get_by_role("button", pressed=True, name="Pause live updates")).to_be_visible()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(6_000)
        assert asked == []


@pytest.mark.sandbox
@pytest.mark.browser
def test_everything_on_the_page_is_there_without_scripts(studio: Studio, chromium: Browser) -> None:
    person = studio.lab.person(Grant("viewer", "tests"))
    with window(chromium, studio.lab, scripts=False) as seen:
        page = seen.sign_in(person.subject)
        page.get_by_role("link", name="studio", exact=True).click()
        page.get_by_role("link", name="Show what it has cost").click()
        expect(page.locator("#money-title ~ div table")).to_be_visible()
        expect(page.get_by_text("read from the record itself")).to_be_visible()
