"""Teardown by typing the name: what goes is shown, what speaks against it stops it, the receipt is there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from console.acts.folder import End
from console.acts.spec import Down, Stop, Up
from console.acts.watch import Place
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.policy import Grant
from fleet.session import Session
from fleet.terraform_events import ProgressEvent
from tests.console.acting import ended, going_on
from tests.console.browser import assert_accessible, window
from tests.console.lab import ConsoleLab, Visitor, serving, settings_of
from tests.teardown_parts import add_bucket, add_run, open_vision, remove_bucket

pytestmark = [pytest.mark.console, pytest.mark.sandbox]
DOWN = "/environments/vision/down"


@dataclass(frozen=True)
class Ending:
    """A console over `vision`, of which nothing stands, in an account that does."""

    lab: ConsoleLab
    session: Session

    @property
    def place(self) -> Place:
        """Where its acts are."""
        return Place(self.lab.services.settings, self.lab.services.database)

    def operator(self) -> Visitor:
        """Return the browser of somebody who may tear it down."""
        return self.lab.signed_in("operator", team="vision")


@pytest.fixture(scope="module")
def ending(
    sandbox: Cloud, sandbox_home: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ending]:
    """The console and its environment, for all tests of this file."""
    root = tmp_path_factory.mktemp("ending")
    session = open_vision(sandbox, root)
    ensure_account(session.cloud, session.account)
    with serving(settings_of(root, sandbox_home)) as lab:  # type: ignore[arg-type]
        yield Ending(lab, session)


@pytest.fixture
def busy(ending: Ending) -> Iterator[str]:
    """A run that is under way."""
    store = add_bucket(ending.session)
    add_run(store, "20260101-busy", "QUEUED")
    yield "20260101-busy"
    remove_bucket(store)


def test_who_may_not_tear_it_down_is_refused_and_who_may_not_see_it_finds_nothing(ending: Ending) -> None:
    assert ending.lab.signed_in("member", team="vision").get(DOWN).status_code == 403
    assert ending.lab.signed_in("operator", team="others").get(DOWN).status_code == 404


def test_nothing_begins_without_the_name(ending: Ending) -> None:
    answer = ending.operator().post(DOWN, {"typed": "visio"}, page=DOWN)
    assert answer.status_code == 422 and "This is not the environment&#39;s name." in answer.text


def test_what_is_not_safe_takes_a_reason(ending: Ending, busy: str) -> None:
    operator = ending.operator()
    quick = operator.get(DOWN).text
    assert f'hx-get="{DOWN}/preview?base="' in quick and "Not safe yet" not in quick, "it comes later"
    for path in (f"{DOWN}/preview", f"{DOWN}?look=1"):
        page = operator.get(path).text
        assert "Not safe yet" in page and f"the run {busy} (digits) is QUEUED" in page, path
    answer = operator.post(DOWN, {"typed": "vision"}, page=DOWN)
    assert answer.status_code == 422 and "Say why, or wait until nothing speaks against it." in answer.text


def test_a_teardown_ends_in_a_receipt_whose_digest_is_on_record(ending: Ending) -> None:
    operator = ending.operator()
    answer = operator.post(DOWN, {"typed": " vision ", "base": "1"}, page=f"{DOWN}?base=1")
    assert answer.status_code == 303, answer.text
    found = ended(ending.place, answer.headers["location"].removeprefix("/acts/"), 120)
    assert (found.state, found.said["proven"]) == ("done", True), found.said
    page = operator.get(answer.headers["location"]).text
    assert "fleetform down vision --base" in page and "Do it again" not in page
    (path,) = re.findall(r'href="(/receipts/[^"]+)"', page)
    body = operator.get(f"{path}/receipt.json").content
    digest = hashlib.sha256(body).hexdigest()
    receipt = operator.get(path).text
    assert digest in receipt and "Nothing is left" in receipt
    assert "fleetform audit log --target vision --event environment.down" in receipt
    assert ending.session.ledger.entries()[-1]["details"]["receipt_sha256"] == digest
    assert ending.lab.signed_in("operator", team="others").get(path).status_code == 404
    for wrong in ("/receipts/%2E%2E", "/receipts/vision-20260101T000000", "/receipts/x%2F..%2Fvision"):
        assert operator.get(wrong).status_code == 404


# ------------------------------------------------------------------------------ acts


def test_an_act_is_shown_to_its_team_and_stopped_by_who_may(ending: Ending) -> None:
    ann = ending.lab.person(Grant("operator", "vision"))
    viewer, other = ending.lab.signed_in("viewer", team="vision"), ending.lab.signed_in("operator", team="x")
    with going_on(ending.place, ann, Up(environment="vision")) as act_id:
        path = f"/acts/{act_id}"
        assert "at work" in viewer.get(path).text and "Stop it" not in viewer.get(path).text
        assert "Stop it" in ending.operator().get(path).text
        for wanted in (path, f"{path}/events", "/acts/0123456789abcdef", "/acts/%2E%2E"):
            assert other.get(wanted).status_code == 404
        for verb in ("stop", "repeat"):
            assert viewer.post(f"{path}/{verb}", {}, page="/").status_code == 403
    assert "cut off" in viewer.get(path).text
    assert "Do it again" in ending.operator().get(path).text


def test_what_is_done_to_an_environment_is_told_where_everybody_begins(ending: Ending) -> None:
    ann, viewer = ending.lab.person(), ending.lab.signed_in("viewer", team="vision")
    with going_on(ending.place, ann, Up(environment="vision")) as act_id:
        page = viewer.get("/").text
        assert f'href="/acts/{act_id}">Build vision: at work</a>' in page
    assert f'href="/acts/{act_id}">Build vision: cut off</a>' in viewer.get("/").text
    assert "/acts/" not in ending.lab.signed_in("viewer", team="others").get("/").text


def test_what_is_done_to_another_teams_run_is_not_shown(ending: Ending) -> None:
    ann, viewer = ending.lab.person(), ending.lab.signed_in("viewer", team="vision")
    theirs = Stop(environment="vision", run="speech-20261123-010203-abcde")
    with going_on(ending.place, ann, theirs) as act_id:
        for path in (f"/acts/{act_id}", f"/acts/{act_id}/events"):
            assert viewer.get(path).status_code == 404
        assert act_id not in viewer.get("/").text
    mine = Stop(environment="vision", run="20261123-010203-abcde")
    with going_on(ending.place, ann, mine) as act_id:
        assert viewer.get(f"/acts/{act_id}").status_code == 200
        assert f"/acts/{act_id}" in viewer.get("/").text


def test_the_stream_tells_what_happens_to_an_act_until_it_has_ended(ending: Ending) -> None:
    ann, viewer = ending.lab.person(), ending.lab.signed_in("viewer", team="vision")
    with going_on(ending.place, ann, Up(environment="vision")) as act_id:
        folder = ending.place.folder(act_id)
        with viewer.client.stream("GET", f"/acts/{act_id}/events") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert "Where it stands" in until(lines, "at work")
            event = ProgressEvent(kind="done", stack="vision-base", text="<b>x</b>", done=3, total=12)
            folder.tell(event)
            told = until(lines, "3 of 12")
            assert "&lt;b&gt;x" in told and "<b>x" not in told, "what Terraform says is text"
            folder.finish(End.now("failed", message="no capacity"))
            assert "no capacity" in until(lines, "event: over")


def until(lines: Iterator[str], wanted: str) -> str:
    """Return what the stream sends up to the end of the event that has this in it."""
    told = ""
    for line in lines:
        told += f"{line}\n"
        if wanted in told and not line:
            return told
    raise AssertionError(told)


# ------------------------------------------------------------------------------ in a browser


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_pages_of_a_teardown_read_well(
    ending: Ending, busy: str, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = ending.lab.person(Grant("operator", "vision"))
    with window(chromium, ending.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        page = seen.open(f"{DOWN}?base=1")
        expect(page.locator("#typed")).to_be_visible(timeout=30_000)
        expect(page.locator("#reason")).to_be_visible()
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        with going_on(ending.place, person, Down(environment="vision", base=True)) as act_id:
            page = seen.open(f"/acts/{act_id}")
            expect(page.locator("#stop button")).to_be_visible()
            event = ProgressEvent(
                kind="done", stack="vision-base", text="aws_vpc.main: done", done=3, total=9
            )
            ending.place.folder(act_id).tell(event)
            expect(page.locator("progress")).to_have_attribute("value", "3")
            assert_accessible(page)
        expect(page.locator("#stop button")).to_have_count(0)
        expect(page.locator("form button.main")).to_be_visible()
        assert_accessible(page)


@pytest.mark.browser
def test_a_teardown_works_by_typing_and_without_scripts(ending: Ending, chromium: Browser) -> None:
    person = ending.lab.person(Grant("operator", "vision"))
    with window(chromium, ending.lab, scripts=False) as seen:
        seen.enter(person.subject)
        page = seen.open(DOWN)
        page.get_by_role("button", name="Network, keys and storage too").click()
        expect(page.get_by_role("button", pressed=True).first).to_have_text("Network, keys and storage too")
        page.get_by_role("link", name="Show what goes and what stays").click()
        page.locator("#typed").fill("vision")
        page.keyboard.press("Enter")
        page.wait_for_url("**/acts/*")
        act_id = page.url.rpartition("/")[2]
        assert ended(ending.place, act_id, 120).state == "done"
        page.reload()
        page.get_by_role("link", name="To the receipt").click()
        expect(page.locator(".badge.good")).to_have_text("Nothing is left")
