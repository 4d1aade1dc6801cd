"""The steps of a launch in a real browser: both languages, narrow, dark, without scripts, by axe-core."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from fleet.policy import Grant
from tests.console.browser import Window, assert_accessible, window
from tests.console.conftest import Studio
from tests.console.launching import begin, bring, budget, press, resize

pytestmark = [pytest.mark.console, pytest.mark.browser, pytest.mark.sandbox]


def looked_at(page: Page) -> None:
    """Assert that everybody can read it, on whatever screen."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert_accessible(page)


def through(seen: Window) -> Page:
    """Go from the beginning to the review, and look at each page on the way."""
    page = seen.open("/launch")
    looked_at(page)
    page.locator("form.option button.main").first.click()
    page.wait_for_url("**/data")
    looked_at(page)
    page.locator('a[href$="known=digits"]').click()
    page.wait_for_url("**known=digits")
    expect(page.locator(".pictures img")).to_have_count(12)
    page.wait_for_function(
        "[...document.querySelectorAll('.pictures img')].every(each => each.complete && each.naturalWidth)"
    )
    looked_at(page)
    page.locator("form button.main").click()
    page.wait_for_url("**/recipe")
    looked_at(page)
    page.locator("#knob-passes").fill("2")
    page.locator("form button.main").click()
    page.wait_for_url("**/review")
    expect(page.locator("form[action$='/start'] button.main")).to_be_visible()
    looked_at(page)
    return page


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_steps_are_for_everybody(
    studio: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = studio.lab.person(Grant("operator", "tests"))
    with window(chromium, studio.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        page = through(seen)
        page.locator("#minutes").fill("45")
        page.locator("form[action$='/review'] button").click()
        expect(page.locator("#minutes")).to_have_value("45")
        page.go_back()
        page.go_back()
        expect(page.locator("#knob-passes")).to_have_value("2")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_is_refused_and_who_lets_it_go_on_are_for_everybody(
    studio: Studio, chromium: Browser, language: str
) -> None:
    member = studio.lab.signed_in("member")
    path = begin(member)
    bring(member, path)
    approver = studio.lab.person(Grant("approver", "tests"))
    with budget(studio, 40), window(chromium, studio.lab, language=language, width=360) as seen:
        resize(member, path, minutes=2800)
        seen.enter(member.login)
        page = seen.open(f"{path}/review")
        expect(page.get_by_role("alert")).to_be_visible()
        looked_at(page)
        press(studio.lab, member, path, "ask", reason="<b>now</b>")
        page = seen.open(f"{path}/review")
        expect(page.locator("#size")).to_be_visible()
        looked_at(page)
        page.context.clear_cookies()
        seen.enter(approver.subject)
        page = seen.open("/approvals")
        expect(page.get_by_text("<b>now</b>").first).to_be_visible()
        looked_at(page)


def test_the_steps_work_without_scripts(studio: Studio, chromium: Browser) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    with window(chromium, studio.lab, scripts=False) as seen:
        seen.enter(person.subject)
        page = seen.open("/launch")
        page.get_by_role("button", name="Train here: studio").click()
        page.get_by_role("link", name="Wines").click()
        page.get_by_role("button", name="Learn from this data").click()
        page.get_by_label("How often to look at every row").fill("3")
        page.get_by_role("button", name="Go on to the review").click()
        page.get_by_role("link", name="Show the review").click()
        page.get_by_label("After how many minutes it is stopped").fill("90")
        page.get_by_role("button", name="Reckon again").click()
        page.get_by_role("link", name="Show the review").click()
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        expect(page.locator("dl.facts")).to_contain_text("Wines")
        page.get_by_role("link", name="Data").last.click()
        expect(page.get_by_role("heading", name="Wines").first).to_be_visible()
