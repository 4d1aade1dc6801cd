"""The pages in a real browser, in both languages: by keyboard, without scripts, narrow, dark, by axe-core."""

from __future__ import annotations

import datetime

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update

from console.store.columns import utc_now
from console.store.people_tables import SessionRow
from fleet.policy import Grant
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab
from tests.console.test_welcome import token_of

pytestmark = [pytest.mark.console, pytest.mark.browser]

SIGN_IN = {"en": "Sign in", "ko": "로그인"}
LANGUAGES = ["en", "ko"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_person_makes_their_account_by_typing(
    own_lab: ConsoleLab, chromium: Browser, language: str
) -> None:
    token = token_of(own_lab)
    with window(chromium, own_lab, language=language) as seen:
        page = seen.open("/welcome")
        assert_accessible(page)
        page.locator("#token").focus()
        for text in (token, "이지은", "jieun", "네 단어로 만든 긴 문장 하나"):
            page.keyboard.insert_text(text)
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("header.top .who a")).to_have_text("이지은")
        assert_accessible(page)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_sign_in_says_what_is_wrong_to_everybody(
    lab: ConsoleLab, chromium: Browser, language: str, dark: bool
) -> None:
    with window(chromium, lab, language=language, dark=dark) as seen:
        page = seen.open("/login")
        expect(page.locator("h1")).to_have_text(SIGN_IN[language])
        assert_accessible(page)
        page.locator("#login").fill(f"nobody-{language}-{dark}")
        page.locator("#password").fill("nothing")
        page.locator("button.main").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert_accessible(page)
        seen.troubles[:] = [each for each in seen.troubles if "401" not in each]


@pytest.mark.sandbox
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)])
def test_home_shows_the_teams_environment_and_its_run(
    studio: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    with window(chromium, studio.lab, language=language, width=width, dark=dark) as seen:
        page = seen.sign_in(person.subject)
        expect(page.get_by_role("heading", name="studio")).to_be_visible()
        shown = page.locator('a[href^="/environments/studio/runs/"]')
        expect(shown.first).to_be_visible()
        runs = {
            str(each).rpartition("/")[2] for each in shown.evaluate_all("all => all.map(each => each.href)")
        }
        assert runs <= set(studio.environment.store.run_ids()), "the newest: other tests add some"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        tables = page.locator(".wide").evaluate_all(
            "all => all.every(each => each.scrollWidth <= each.clientWidth)"
        )
        assert tables, "a list has to be scrolled sideways"
        assert_accessible(page)


@pytest.mark.sandbox
def test_everything_works_without_scripts(studio: Studio, chromium: Browser) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    with window(chromium, studio.lab, scripts=False) as seen:
        page = seen.sign_in(person.subject)
        page.get_by_role("button", name="한국어").click()
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        page.get_by_role("button", name="어둡게").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.get_by_role("button", name="로그아웃").click()
        page.wait_for_url("**/login")
    with window(chromium, studio.lab) as seen:  # the choice is the person's, in every browser
        page = seen.sign_in(person.subject)
        expect(page.locator("html")).to_have_attribute("lang", "ko")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.sandbox
def test_times_are_in_the_zone_of_the_browser(studio: Studio, chromium: Browser) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    with window(chromium, studio.lab, language="en") as seen:
        page = seen.sign_in(person.subject)
        page.context.add_cookies([{"name": "fleetform-zone", "value": "Asia/Tokyo", "url": seen.url}])
        page.reload()
        shown = page.locator("section time").last
        hour, minute, _ = (shown.get_attribute("title") or "").split()[1].split(":")
        assert f", {(int(hour) + 9) % 24:02}:{minute}:" in shown.inner_text()


def test_the_skip_link_leads_past_the_header(lab: ConsoleLab, chromium: Browser) -> None:
    with window(chromium, lab) as seen:
        page = seen.open("/login")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("language", LANGUAGES)
def test_people_are_managed_with_the_mouse_and_by_whoever_reads_pages_aloud(
    own_lab: ConsoleLab, chromium: Browser, language: str
) -> None:
    admin = own_lab.person(Grant("admin", "*"))
    own_lab.person(Grant("viewer", "blue"), name="한소라")
    with window(chromium, own_lab, language=language) as seen:
        seen.sign_in(admin.subject)
        page = seen.open("/people")
        assert_accessible(page)
        page.locator("#invite-team").select_option("blue")
        page.locator("form[action='/people/invite'] button").click()
        expect(page.locator("#invitation")).to_be_visible()
        assert_accessible(page)
        row = page.get_by_role("row").filter(has_text="한소라")
        row.locator("select[name=role]").select_option("operator")
        row.locator("select[name=team]").select_option("blue")
        row.locator("form[action$='/grant'] button").click()
        expect(row.locator("form[action$='/take']")).to_have_count(2)
        assert_accessible(seen.open("/me"))
        assert_accessible(seen.open("/prove"))


def test_an_open_page_warns_before_its_reader_is_signed_out(lab: ConsoleLab, chromium: Browser) -> None:
    person = lab.person(Grant("viewer", "tests"))
    with window(chromium, lab, language="ko", width=360) as seen:
        seen.page.clock.install()
        seen.enter(person.subject)
        page = seen.open("/me")
        with lab.services.database.writing() as database:
            long_ago = utc_now() - datetime.timedelta(minutes=29)
            mine = update(SessionRow).where(SessionRow.person_id == person.id)
            database.execute(mine.values(seen_at=long_ago))
        page.clock.fast_forward("28:30")
        expect(page.get_by_role("alert")).to_be_in_viewport()
        assert_accessible(page)
        page.get_by_role("button", name="로그인 유지").click()
        expect(page.get_by_role("alert")).to_have_count(0)
