"""A new employee's whole way, in Chromium, in English and in Korean, over one environment with real stacks.

By invitation in, pictures brought, a launch (the first one builds the environment), watched, tried, taken
home. The second one tears it down by its name. Then an auditor reads who has done all of that.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from fleet.cloud import Cloud
from fleet.policy import Grant
from fleet.project import Project
from fleet.session import open_session
from tests.console.browser import Window, assert_accessible, window
from tests.console.lab import PASSWORD, ConsoleLab, serving, settings_of
from tests.console.test_welcome import token_of
from tests.real_stacks import declare

pytestmark = [
    pytest.mark.console, pytest.mark.browser, pytest.mark.sandbox, pytest.mark.terraform, pytest.mark.torch,
]  # fmt: skip

NAME, TEAM = "voyage", "vision"
PEOPLE = {"en": ("Ann Lee", "ann"), "ko": ("이지은", "jieun")}
DONE = {"en": "finished", "ko": "완료"}
_LOOKED_MS, _CHECKED_MS, _TRAINED_MS, _BUILT_MS = 60_000, 120_000, 240_000, 500_000


@dataclass(frozen=True)
class Voyage:
    """A console that nobody has an account in yet, and an environment that is declared and not built."""

    lab: ConsoleLab
    project: Project
    pictures: Path


@pytest.fixture(scope="module")
def voyage(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voyage]:
    """Shared by the languages: building takes longest."""
    root = tmp_path_factory.mktemp("voyage")
    pictures = root / "brought" / "colours"
    for colour, rgb in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (pictures / colour).mkdir(parents=True)
        for number in range(24):
            shade = tuple(min(255, each + 2 * number) for each in rgb)
            Image.new("RGB", (48, 48), shade).save(pictures / colour / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TF_CLI_CONFIG_FILE", raising=False)
        patch.setenv("OMP_NUM_THREADS", "1")
        declare(root, sandbox, name=NAME, organization="journey-tests")
        with serving(settings_of(root, sandbox_home)) as lab:
            yield Voyage(lab, Project(root=root, home=sandbox_home), pictures)


def test_in_english_from_the_first_account_to_the_model_at_home(
    voyage: Voyage, chromium: Browser, tmp_path: Path
) -> None:
    token = token_of(voyage.lab)
    with window(chromium, voyage.lab) as first:
        page = first.open("/welcome")
        _fill_account(page, token, "Kim Admin", "admin")
        invitations = {language: _invite(first) for language in PEOPLE}
    (voyage.project.root / "invitation-ko").write_text(invitations["ko"], encoding="utf-8")
    with window(chromium, voyage.lab, language="en") as seen:
        _go(seen, voyage, "en", invitations["en"], tmp_path)


def test_in_korean_to_the_teardown_and_the_record_tells_all_of_it(
    voyage: Voyage, chromium: Browser, tmp_path: Path
) -> None:
    invitation = (voyage.project.root / "invitation-ko").read_text(encoding="utf-8")
    with window(chromium, voyage.lab, language="ko") as seen:
        _go(seen, voyage, "ko", invitation, tmp_path)
        page = seen.open(f"/environments/{NAME}/down?base=1&look=1")
        page.locator("#typed").fill(NAME)
        if page.locator("#reason").count():
            page.locator("#reason").fill("그만 씁니다")
        page.keyboard.press("Enter")
        page.wait_for_url("**/acts/*")
        page.locator("a[href^='/receipts/']").wait_for(timeout=_BUILT_MS)
        page.locator("a[href^='/receipts/']").click()
        expect(page.locator(".badge.good")).to_be_visible()
    _audited(voyage, chromium)


def _go(seen: Window, voyage: Voyage, language: str, invitation: str, folder: Path) -> None:
    """Go from the invitation to the model at home."""
    name, login = PEOPLE[language]
    page = seen.open("/join")
    expect(page.locator("html")).to_have_attribute("lang", language)
    _fill_account(page, invitation, name, login)
    page.locator("a[href^='/launch']").first.click()
    page.locator(f"form:has(input[name=environment][value={NAME}]) button.main").click()
    page.wait_for_url("**/data")
    page.locator("a[href^='/uploads?']").click()
    _bring(page, voyage.pictures)
    page.locator("main form button.main").first.click()
    page.wait_for_url("**/recipe*")
    _choose(page)
    run = _start(page)
    assert_accessible(page)
    expect(page.locator("#state")).to_contain_text(DONE[language], timeout=_TRAINED_MS)
    expect(page.locator("#charts figure").first).to_be_visible()
    page.reload()
    page.locator("a[href$='/try']").click()
    page.locator("#in-0").set_input_files(voyage.pictures / "red" / "3.png")
    page.locator("main form button.main").click()
    expect(page.locator("section[aria-labelledby=answer]")).to_contain_text(
        re.compile("red|blue"), timeout=_CHECKED_MS
    )
    seen.open(f"/environments/{NAME}/runs/{run}/card")
    with page.expect_download() as download:
        page.locator("a[href$='/model.zip']").click()
    model = folder / "model.zip"
    download.value.save_as(model)
    with zipfile.ZipFile(model) as opened:
        assert opened.testzip() is None and f"{run}/model/config.json" in opened.namelist()


def _fill_account(page: Page, token: str, name: str, login: str) -> None:
    for field, text in (("token", token), ("name", name), ("login", login), ("password", PASSWORD)):
        page.locator(f"#{field}").fill(text)
    page.keyboard.press("Enter")
    expect(page.locator("header.top .who a")).to_have_text(name, timeout=_LOOKED_MS)


def _invite(seen: Window) -> str:
    """Invite somebody as an operator of the team, and return the token."""
    page = seen.open("/people")
    page.locator("#invite-team").select_option(TEAM)
    page.locator("#invite-role").select_option("operator")
    page.locator("form[action='/people/invite'] button").click()
    return page.locator("section[aria-labelledby=invitation] code").inner_text().split()[-1]


def _bring(page: Page, pictures: Path) -> None:
    """Bring a folder of pictures, and go on with it once it is checked."""
    page.locator("#folder").set_input_files(pictures)
    page.locator("#send").click()
    go_on = page.locator("a.button.main[href*='/launch/']")
    go_on.wait_for(timeout=_CHECKED_MS)
    expect(page.locator("img").first).to_be_visible()
    assert_accessible(page)
    go_on.click()
    page.wait_for_url("**/data?*")


def _choose(page: Page) -> None:
    """Want pictures sorted, by little work."""
    if not page.locator("[name=knob-network]").count():
        page.locator("a[href*='want=sort-pictures']").click()
    page.locator("[name=knob-passes]").fill("4")
    page.locator("[name=knob-side]").select_option("64")
    page.locator("[name=knob-network]").select_option("small")
    page.locator("form:has([name=knob-passes]) button.main").click()
    page.wait_for_url("**/review")


def _start(page: Page) -> str:
    """Start it as it was reviewed, and return the run's id from its page."""
    assert_accessible(page)
    page.locator("form[action$='/start'] button.main").click()
    page.wait_for_url("**/acts/*")
    to_run = page.locator(f"a[href^='/environments/{NAME}/runs/']")
    to_run.wait_for(timeout=_BUILT_MS)
    to_run.click()
    page.wait_for_url("**/runs/*")
    return page.url.rpartition("/")[2]


def _audited(voyage: Voyage, chromium: Browser) -> None:
    """Let an auditor read it all, and hold it against the ledger."""
    auditor = voyage.lab.person(Grant("auditor", "*"), name="박감사")
    with window(chromium, voyage.lab, language="ko") as seen:
        seen.sign_in(auditor.subject)
        page = seen.open("/record")
        for name, _ in PEOPLE.values():
            expect(page.locator("main")).to_contain_text(name)
        page = seen.open(f"/record/environments/{NAME}")
        expect(page.locator("main")).to_contain_text(PEOPLE["ko"][0])
    session = open_session(NAME, "sandbox", project=voyage.project)
    entries = session.ledger.entries()
    told = {(each["event"], each["actor"].get("asked_by", {}).get("name")) for each in entries}
    for name, _ in PEOPLE.values():
        for event in ("console.join", "data.upload", "model.try", "model.take"):
            assert (event, name) in told, f"{name}: no {event}"
    assert ("environment.up", "Ann Lee") in told and ("environment.down", "이지은") in told
    assert session.ledger.verify().intact
