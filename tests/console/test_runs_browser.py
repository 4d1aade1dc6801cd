"""The pages of runs in a real browser: live, paused, without scripts, in both languages, by axe-core."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from fleet.clock import utc_now
from fleet.policy import Grant
from fleet.run_store import RunStore
from fleet.submit import new_run_id
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio
from tests.run_directories import ENDED, make, put
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.browser, pytest.mark.sandbox]
RUNS = "/environments/studio/runs"


class Training:
    """A run as its machines would write it, a step at a time."""

    def __init__(self, store: RunStore) -> None:
        self.store, self.run_id = store, new_run_id()
        self.log = self.metrics = b""
        self.events(*ENDED[:3])

    def events(self, *events: str) -> None:
        make(self.store, self.run_id, *events, submitted=utc_now(), price_usd_per_hour=2.0)

    def step(self, *steps: int) -> None:
        for step in steps:
            line = {"step": step, "time": utc_now(), "loss": 1 / step, "samples_per_s": 100.0 + step}
            self.metrics += json.dumps(line).encode() + b"\n"
            self.log += f"step {step} <b>\n".encode()
        put(self.store, self.run_id, "logs/node-0.log", self.log)
        put(self.store, self.run_id, "metrics.jsonl", self.metrics)


def steps_shown(page: Page) -> list[str]:
    return page.locator("#steps tbody tr td:first-child").all_text_contents()


def test_a_run_is_watched_paused_and_seen_to_its_end(studio: Studio, chromium: Browser) -> None:
    training = Training(studio.environment.store)
    person = studio.lab.person(Grant("operator", "tests"))
    with window(chromium, studio.lab) as seen:
        seen.enter(person.subject)
        page = seen.open(f"{RUNS}/{training.run_id}")
        expect(page.locator("#state")).to_contain_text("running")
        expect(page.locator("#no-steps")).to_be_visible()
        expect(page.locator("#actions form[action$='/stop']")).to_be_visible()
        training.step(1, 2)
        expect(page.locator("#log")).to_have_text("step 1 <b>\nstep 2 <b>\n")
        expect(page.locator("#charts figure")).to_have_count(2)
        page.get_by_text("The numbers as a table").click()
        assert steps_shown(page) == ["1", "2"]
        assert_accessible(page)
        page.get_by_role("button", name="Pause live updates").click()
        training.step(3)
        page.wait_for_timeout(1500)
        assert steps_shown(page) == ["1", "2"]
        page.get_by_role("button", name="Pause live updates").click()
        expect(page.locator("#steps tbody tr")).to_have_count(3)
        training.step(4)
        training.store.put(
            training.run_id, "receipt.json", {"seconds": {"total": 65.0}, "cost": {"usd": 0.5}}
        )
        training.events(*ENDED)
        expect(page.locator("#state")).to_contain_text("finished")
        expect(page.locator("#receipt")).to_contain_text("$0.50")
        expect(page.locator("#actions form[action$='/stop']")).to_have_count(0)
        expect(page.locator("#actions a[href$='/try']")).to_be_visible()
        expect(page.locator("#events li")).to_have_count(len(ENDED))
        expect(page.locator("#log")).to_have_text("".join(f"step {step} <b>\n" for step in (1, 2, 3, 4)))
        assert steps_shown(page) == ["1", "2", "3", "4"]
        expect(page.locator("#pause")).to_be_hidden()
        assert_accessible(page)


def test_an_attempt_that_goes_back_begins_its_curves_again(studio: Studio, chromium: Browser) -> None:
    training = Training(studio.environment.store)
    training.step(1, 2, 3)
    person = studio.lab.person(Grant("viewer", "tests"))
    with window(chromium, studio.lab) as seen:
        seen.enter(person.subject)
        page = seen.open(f"{RUNS}/{training.run_id}")
        assert steps_shown(page) == ["1", "2", "3"]
        training.metrics = training.metrics.splitlines(keepends=True)[0]
        training.step(2)
        expect(page.locator("#steps tbody tr")).to_have_count(2)
        assert steps_shown(page) == ["1", "2"]
        training.events(*ENDED)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_lists_and_comparisons_are_for_everybody(
    studio: Studio, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    run_id = new_run_id()
    make(studio.environment.store, run_id, *ENDED[:3], "FAILED")
    person = studio.lab.person(Grant("viewer", "tests"))
    with window(chromium, studio.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        for path in (
            RUNS,
            f"{RUNS}/{run_id}",
            f"/environments/studio/compare?run={run_id}&run={studio.run_id}",
        ):
            page = seen.open(path)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{path} scrolls sideways"
            )
            assert_accessible(page)


def test_runs_are_found_and_compared_without_scripts(studio: Studio, chromium: Browser) -> None:
    run_id, other = new_run_id(), new_run_id()
    for each in (run_id, other):
        make(studio.environment.store, each, *ENDED)
    person = studio.lab.person(Grant("viewer", "tests"))
    with window(chromium, studio.lab, scripts=False) as seen:
        seen.enter(person.subject)
        # The list is some seconds old where somebody has looked at it just before.
        wait_for(lambda: seen.open(RUNS).get_by_label(f"Compare {other}").count() == 1 or None)
        page = seen.open(RUNS)
        page.get_by_label("State", exact=True).select_option("SUCCEEDED")
        page.get_by_role("button", name="Show").click()
        for each in (run_id, other):
            page.get_by_label(f"Compare {each}").check()
        page.get_by_role("button", name="Compare the chosen runs").click()
        expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
        page.get_by_role("link", name=run_id).click()
        expect(page.locator("#state")).to_contain_text("finished")
