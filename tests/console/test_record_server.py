"""Who entered a server, in the console: each way, what is recorded of it, and who reads transcripts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from fleet.policy import Grant
from tests.console.browser import assert_accessible, window
from tests.console.lab import ConsoleLab, Visitor, serving, settings_of
from tests.environment_parts import ORGANIZATION, REGION
from tests.record_lab import ENVIRONMENT, RecordLab, record_lab
from tests.sandbox_helpers import api
from tests.spec_files import environment_text, write_folder

pytestmark = [pytest.mark.console, pytest.mark.sandbox]


@dataclass(frozen=True)
class Entered:
    """A console over an account whose one machine somebody entered in three ways."""

    lab: ConsoleLab
    record: RecordLab
    session: str
    """Id of the session that left a transcript."""

    @property
    def path(self) -> str:
        """The machine's page."""
        return f"/record/environments/{ENVIRONMENT}/servers/{self.record.machine}"

    def auditor(self) -> Visitor:
        """Return the browser of somebody who reads the record."""
        return self.lab.signed_in("auditor", team="*")


@pytest.fixture(scope="module")
def entered() -> Iterator[Entered]:
    """A session with a transcript, a tunnel, and a command by nobody in particular."""
    with record_lab() as record:
        root, home = record.session.project.root, record.session.project.home
        text = f'organization = "{ORGANIZATION}"\nregion = "{REGION}"\n'
        write_folder(root, text, **{ENVIRONMENT: environment_text(ENVIRONMENT)})
        ann = record.member("ann")
        begun = ann.start_session(Target=record.machine, DocumentName=record.document, Reason="<b>look</b>")[
            "SessionId"
        ]
        ann.terminate_session(SessionId=begun)
        ann.start_session(Target=record.machine, DocumentName="AWS-StartSSHSession")
        api(record.cloud, "ssm").send_command(
            DocumentName="AWS-RunShellScript", InstanceIds=[record.machine], Parameters={"commands": ["true"]}
        )
        record.deliver()
        with serving(settings_of(root, home)) as lab:
            yield Entered(lab, record, str(begun))


def test_each_way_in_is_a_row_and_what_has_to_be_explained_says_so(entered: Entered) -> None:
    page = entered.auditor().get(f"{entered.path}?days=all").text
    assert "entered by Session Manager" in page and "content recorded" in page
    assert "opened a tunnel by Session Manager (AWS-StartSSHSession)" in page
    assert "What was done is not recorded." in page
    assert "Unexplained: nothing says which person that is." in page
    assert page.count('<tr class="finding">') == 3, (
        "the tunnel, the command, and the start by the account itself"
    )
    assert "flow logs" in page, "what nobody looked at is part of the answer"
    assert "&lt;b&gt;look" in page and "<b>look" not in page
    assert f"fleetform audit entered {ENVIRONMENT} {entered.record.machine}" in page


def test_reading_a_transcript_is_on_record_first_and_what_is_of_no_session_here_is_not_there(
    entered: Entered,
) -> None:
    reader = entered.auditor()
    answer = reader.get(f"{entered.path}/transcript?session={entered.session}")
    assert answer.status_code == 200 and "nothing was typed" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"].startswith("attachment")
    last = entered.record.session.ledger.entries()[-1]
    assert (last["event"], last["target"]) == ("record.transcript", "ann")
    assert last["details"]["session"] == entered.session
    for wrong in ("", "nothing", "..%2Fledger%2F000000000001.json", "x" * 200, "a%0d%0ab"):
        assert reader.get(f"{entered.path}/transcript?session={wrong}").status_code in (404, 422), wrong


def test_only_who_reads_the_record_sees_it(entered: Entered) -> None:
    assert entered.lab.signed_in("operator", team="*").get(entered.path).status_code == 403
    assert entered.lab.signed_in("auditor", team="others").get(entered.path).status_code == 404
    reader = entered.auditor()
    for wrong in ("gpu-1", "i-12", "i-0123456789abcdef0%3B", "%2E%2E"):
        path = f"/record/environments/{ENVIRONMENT}/servers/{wrong}"
        assert reader.get(path).status_code == 404


def test_the_environments_page_leads_to_its_machines(entered: Entered) -> None:
    reader = entered.auditor()
    page = reader.get(f"/record/environments/{ENVIRONMENT}")
    assert f'href="{entered.path}"' in page.text
    led = reader.get(f"/record/environments/{ENVIRONMENT}?instance={entered.record.machine}")
    assert led.status_code == 303 and led.headers["location"] == entered.path
    assert reader.get(f"/record/environments/{ENVIRONMENT}?instance=//evil.example").status_code == 404


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)])
def test_the_pages_of_the_record_read_well(
    entered: Entered, chromium: Browser, language: str, width: int, dark: bool
) -> None:
    person = entered.lab.person(Grant("auditor", "*"), name="지은")
    with window(chromium, entered.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        for path in (
            "/record", f"/record/environments/{ENVIRONMENT}", f"{entered.path}?days=all", "/record/entries/1",
            f"/record/people/{person.id}", "/record/verify", "/record/export", "/reviews",
        ):  # fmt: skip
            page = seen.open(path)
            expect(page.locator("h1")).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
                f"{path} scrolls sideways"
            )
            assert_accessible(page)


@pytest.mark.browser
def test_the_record_is_narrowed_down_and_verified_without_scripts(
    entered: Entered, chromium: Browser
) -> None:
    person = entered.lab.person(Grant("auditor", "*"))
    with window(chromium, entered.lab, scripts=False) as seen:
        seen.enter(person.subject)
        page = seen.open("/record")
        page.locator("#event").select_option("console.login")
        page.get_by_role("button", name="Show").click()
        expect(page.locator("tbody tr").first).to_contain_text("Signed in")
        page.locator("tbody tr a").first.click()
        expect(page.get_by_text("Its content gives its hash.")).to_be_visible()
        page = seen.open("/record/verify")
        page.get_by_role("button", name="Verify", exact=True).click()
        page.wait_for_url("**/acts/*")
        expect(page.locator("h1")).to_have_text("Verify the whole record")
