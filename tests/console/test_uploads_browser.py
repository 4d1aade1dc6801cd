"""Uploads in a real browser: a folder chosen, files dropped, a connection that breaks, no scripts at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.browser import assert_accessible, window
from tests.console.lab import ConsoleLab
from tests.console.test_uploads import packed, pets
from tests.console.uploading import by_form, checked
from tests.test_data_own import album

pytestmark = [pytest.mark.console, pytest.mark.browser]
PAGE = re.compile(r"/uploads/[0-9a-f]{16}$")
SLOW = 60_000
"""Milliseconds that a browser on a busy machine may take for what is not about time."""
READY = {"en": "It can be trained on.", "ko": "학습에 사용할 수 있습니다."}


def assert_narrow(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


@pytest.fixture(scope="module")
def brought(lab: ConsoleLab, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Somebody's login name, and an upload of theirs that is ready."""
    visitor = lab.signed_in("member")
    files = pets(tmp_path_factory.mktemp("brought"), 120) | {"pets/cat/page.png": b"<html>"}
    answer = by_form(visitor, "pictures", {"pets.zip": packed(files)})
    upload_id = answer.headers["location"].removeprefix("/uploads/")
    assert checked(lab, upload_id).state == "ready"
    return visitor.login, upload_id


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, True)])
def test_what_was_brought_is_shown_to_everybody(
    lab: ConsoleLab, chromium: Browser, brought: tuple[str, str], language: str, width: int, dark: bool
) -> None:
    login, upload_id = brought
    with window(chromium, lab, language=language, width=width, dark=dark) as seen:
        seen.enter(login)
        page = seen.open("/uploads")
        expect(page.locator("#drop")).to_be_visible()
        page.locator("#send").click()
        expect(page.locator("#faults li")).to_have_count(1)  # nothing is chosen yet
        assert_accessible(page)
        assert_narrow(page)
        page = seen.open(f"/uploads/{upload_id}")
        expect(page.get_by_text(READY[language])).to_be_visible()
        for picture in page.locator(".pictures img").all():
            picture.scroll_into_view_if_needed()
            expect(picture).to_have_js_property("complete", True)
            assert picture.evaluate("each => each.naturalWidth") > 0
        expect(page.locator(".pictures img")).to_have_count(12)
        assert_accessible(page)
        assert_narrow(page)


def test_a_folder_is_chosen_brought_and_checked(lab: ConsoleLab, chromium: Browser, tmp_path: Path) -> None:
    album(tmp_path / "pets", 20)
    login = lab.signed_in("member").login
    with window(chromium, lab, language="ko", width=360) as seen:
        seen.enter(login)
        page = seen.open("/uploads")
        page.locator("#folder").set_input_files(tmp_path / "pets")
        expect(page.locator("#chosen")).to_contain_text("20")
        assert_accessible(page)
        page.locator("#send").click()
        page.wait_for_url(PAGE)
        expect(page.get_by_text(READY["ko"])).to_be_visible(timeout=SLOW)  # by itself, without a reload
        expect(page.locator(".pictures img")).to_have_count(12)


def test_it_goes_on_after_a_break_and_after_a_reload(
    lab: ConsoleLab, chromium: Browser, tmp_path: Path
) -> None:
    large = tmp_path / "large.csv"
    large.write_text(
        "a,b,c\n" + "".join(f"{n},{n % 7},{n % 2}\n" for n in range(1_700_000)), encoding="utf-8"
    )
    assert large.stat().st_size > 2 * 8 * 2**20, "three pieces"
    login = lab.signed_in("member").login
    sent: list[str] = []

    def break_second(route: Route) -> None:
        sent.append(route.request.url.rpartition("=")[2])
        if len(sent) > 1:
            route.abort()
        else:
            route.continue_()

    with window(chromium, lab, width=420) as seen:
        seen.enter(login)
        page = seen.open("/uploads")
        page.locator("input[value=table]").check()
        page.locator("#files").set_input_files(large)
        page.route("**/files/*", break_second)
        page.locator("#send").click()
        expect(page.locator("#told")).to_contain_text("The connection is lost", timeout=SLOW)
        assert_accessible(page)
        page.reload()
        expect(page.get_by_text("0 of 1 files have come")).to_be_visible()
        assert_accessible(page)
        sent.clear()
        sent.append("a first one, so that all of these are broken")
        page.locator("#files").set_input_files(large)
        page.locator("#send").click()
        expect(page.locator("#told")).to_contain_text("The connection is lost", timeout=SLOW)
        page.unroute("**/files/*")
        expect(page.locator("#sender")).to_have_count(0, timeout=SLOW)  # all of it is there, and checked
        assert sent[1] == str(8 * 2**20), "what has come is not sent a second time"
        seen.troubles[:] = [each for each in seen.troubles if "ERR_FAILED" not in each]


def test_files_are_dropped_and_others_than_before_are_told_apart(
    lab: ConsoleLab, chromium: Browser, tmp_path: Path
) -> None:
    login = lab.signed_in("member").login
    drop = """names => {
        const carried = new DataTransfer();
        for (const name of names) carried.items.add(new File(["some text ".repeat(50)], name));
        const options = { dataTransfer: carried, bubbles: true, cancelable: true };
        document.getElementById("drop").dispatchEvent(new DragEvent("drop", options));
    }"""
    with window(chromium, lab) as seen:
        seen.enter(login)
        page = seen.open("/uploads")
        page.locator("input[value=text]").check()
        page.evaluate(drop, ["a.txt", ".hidden", "b.txt"])
        expect(page.locator("#chosen")).to_contain_text("2 files chosen")
        page.route("**/files/*", lambda route: route.abort())
        page.locator("#send").click()
        expect(page.locator("#told")).to_contain_text("The connection is lost", timeout=SLOW)
        page.unroute_all()
        page.reload()
        page.evaluate(drop, ["c.txt"])
        page.locator("#send").click()
        expect(page.locator("#faults")).to_contain_text("not among the files of this upload: c.txt")
        page.evaluate(drop, ["a.txt"])
        page.locator("#send").click()
        expect(page.locator("#faults")).to_contain_text("1 files are still missing")
        page.evaluate(drop, ["a.txt", "b.txt"])
        page.locator("#send").click()
        page.wait_for_selector("#upload [role=status]")
        seen.troubles[:] = [each for each in seen.troubles if "ERR_FAILED" not in each]


def test_without_scripts_a_zip_is_brought_and_another_one_deleted(
    lab: ConsoleLab, chromium: Browser, brought: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "pets.zip").write_bytes(packed(pets(tmp_path, 20)))
    login, upload_id = brought
    with window(chromium, lab, scripts=False, width=360) as seen:
        seen.enter(login)
        page = seen.open("/uploads")
        expect(page.locator("#drop")).to_be_hidden()
        assert_narrow(page)
        page.locator("#files").set_input_files(tmp_path / "pets.zip")
        page.locator("#send").click()
        page.wait_for_url(PAGE)
        expect(
            page.get_by_text("Every file is looked through").or_(page.get_by_text(READY["en"]))
        ).to_be_visible()
        page = seen.open(f"/uploads/{upload_id}")
        expect(page.locator(".pictures img")).to_have_count(12)
        page.locator(".delete summary").click()
        page.locator(".delete button").click()
        expect(page.get_by_text("The upload is deleted")).to_be_visible()
