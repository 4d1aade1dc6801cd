"""What is left over in the account, as a page: proven, priced, and shown to who sees every team alone."""

from __future__ import annotations

import datetime
import html
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from httpx2 import Response
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from console import leftovers
from console.acts import watch
from console.acts.spec import Sweep
from console.acts.watch import ActStatus, Place
from console.store.columns import utc_now
from console.store.people_tables import SessionRow
from console.words.languages import KOREAN
from console.words.reader import Reader
from console.words.said import said
from fleet.account_sweep import sweep_account
from fleet.cloud import Cloud
from fleet.orphans.choice import Wanted, choose
from fleet.orphans.report import AccountSweep
from fleet.policy import Grant, Role
from fleet.session import AccountSession
from tests import orphans_planted as planted
from tests.console.acting import add_person, console_process, ended, going_on, worker_of
from tests.console.browser import assert_accessible, window
from tests.console.lab import ConsoleLab, Visitor, serving, settings_of
from tests.orphans_planted import DEAD, Garden
from tests.sandbox_helpers import admin, wait_for

pytestmark = pytest.mark.console
GOLDEN = Path(__file__).parents[1] / "golden" / "account_sweep.txt"
LISTINGS = Path(__file__).parents[2] / "fleet" / "listings"
SEOUL = Reader(KOREAN, "Asia/Seoul")
PAGES = ("/leftovers", "/leftovers/list")


@dataclass(frozen=True)
class Yard:
    """A console over an account in which something is left over."""

    lab: ConsoleLab
    session: AccountSession
    garden: Garden


@pytest.fixture(scope="module")
def yard(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    root = tmp_path_factory.mktemp("yard")
    session = planted.account_session(sandbox, sandbox_home, root)
    with ExitStack() as undo, serving(settings_of(root, sandbox_home)) as lab:
        garden = Garden(sandbox, undo)
        subnet = planted.plant_network(garden)
        planted.plant_machines(garden, subnet)
        planted.plant_stores(garden, subnet)
        planted.plant_living(garden)
        planted.plant_others(garden, subnet)
        yield Yard(lab, session, garden)


@pytest.fixture(autouse=True)
def _without_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "yard" in request.fixturenames:
        admin(request.getfixturevalue("sandbox"), "DELETE", "faults")


# ---------------------------------------------------------------------------------------------- its words


def test_every_proof_and_reason_and_kind_is_korean() -> None:
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    begins = [each.start() for each in re.finditer(r"-+", lines[1])]
    cut = [[line[a:b].strip() for a, b in zip(begins, [*begins[1:], None])] for line in lines[2:]]  # noqa: B905
    told = {text for row in cut for text in (row[4], row[5])}
    assert len(told) > 20
    assert [each for each in told if said(SEOUL, each).language] == []


def test_every_kind_that_a_listing_tells_of_is_korean() -> None:
    kinds = {
        kind
        for file in LISTINGS.glob("*.py")
        for kind in re.findall(r'kind="([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert len(kinds) > 35
    assert [each for each in kinds - {"VPC"} if said(SEOUL, each).language] == []


# ------------------------------------------------------------------------------------- over the sandbox


def shown(yard: Yard, role: Role = "auditor", path: str = "/leftovers", language: str = "en") -> str:
    """Return the page as a new look makes it, in one piece, with labels in place of ids."""
    visitor = yard.lab.signed_in(role, team="*", language=language)
    yard.lab.services.leftovers.forget()
    assert yard.lab.services.leftovers.within(300)
    answer = visitor.get(f"{path}{'&' if '?' in path else '?'}look=1")
    assert answer.status_code == 200, answer.text
    return yard.garden.shown(html.unescape(answer.text))


def part(page: str, code: str) -> str:
    """Return the list of the things with one verdict."""
    found = re.search(rf'<h2 id="{code}-title">.*?</section>', page, re.DOTALL)
    return found[0] if found else ""


@pytest.mark.sandbox
def test_an_auditor_sees_what_is_left_over_with_price_and_proof_and_nothing_that_deletes(yard: Yard) -> None:
    page = shown(yard, path=f"/leftovers?environment={DEAD}")
    orphans = part(page, "orphan")
    for label in ("machine", "nat", "volume", "bucket", "efs"):
        assert f"<{label}>" in orphans, label
    assert "no environment gone stands" in orphans and "it lies in the VPC <vpc> of gone" in orphans
    assert "$1.01" in orphans and "$734.38" in orphans and "Data is lost for good with it." in orphans
    assert "<nobody's volume>" in part(page, "doubt") and "<karpenter's volume>" in part(page, "others")
    assert "<details>" in part(page, "others") and "Karpenter owns it" in part(page, "others")
    assert "<living stray>" not in page and "/leftovers/delete" not in page
    assert "fleetform sweep --environment gone" in page


@pytest.mark.sandbox
def test_a_kind_alone_is_shown_and_what_is_an_environments_of_a_file_leads_there(yard: Yard) -> None:
    page = shown(yard, path=f"/leftovers?environment={DEAD}&kind=NAT+gateway")
    assert "<nat>" in page and "<machine>" not in page and "1 thing is left over." in page
    assert f'href="/environments/{DEAD}"' not in page, "no file declares it"
    page = shown(yard, path="/leftovers?environment=nowhere")
    assert "Of what you have chosen, nothing is left over." in page


@pytest.mark.sandbox
def test_in_korean_nothing_is_said_in_english_but_what_aws_and_people_named(yard: Yard) -> None:
    page = shown(yard, path=f"/leftovers?environment={DEAD}", language="ko")
    assert "구축된 gone 환경이 없습니다" in page and "NAT 게이트웨이" in page
    rows = page[page.index("<tbody>") : page.rindex("</tbody>")]
    assert set(re.findall(r'lang="en">([^<]+)<', rows)) <= {"VPC"}


@pytest.mark.sandbox
def test_what_could_not_be_looked_at_is_told_first_and_nothing_is_called_clean(yard: Yard) -> None:
    refuse = {"code": "AccessDeniedException", "status": 403}
    fault = {"service": "ec2", "action": "DescribeKeyPairs", **refuse}
    admin(yard.session.cloud, "POST", "faults", fault)
    page = shown(yard, path="/leftovers?environment=nowhere")
    assert page.index("Not everything could be looked at") < page.index("What was found")
    assert "key pairs in us-east-1" in page and "Where it could be looked, nothing is left over." in page
    assert 'class="notice good"' not in page


@pytest.mark.sandbox
@pytest.mark.parametrize("role", ["operator", "auditor", "admin"])
def test_who_sees_every_team_finds_the_page_from_every_other(yard: Yard, role: Role) -> None:
    assert 'href="/leftovers"' in yard.lab.signed_in(role, team="*").get("/me").text
    assert 'href="/leftovers"' not in yard.lab.signed_in(role, team="tests").get("/me").text


@pytest.mark.sandbox
def test_to_who_sees_one_team_alone_it_is_not_there_and_a_viewer_of_all_is_told_whose_it_is(
    yard: Yard,
) -> None:
    for role in ("viewer", "member", "operator", "auditor", "admin"):
        stranger = yard.lab.signed_in(role, team=planted.TEAM)
        for path in PAGES:
            assert stranger.get(path).status_code == 404, (role, path)
        assert stranger.post("/leftovers/look", {}, page="/me").status_code == 404
    last = yard.session.ledger.entries()[-1]
    assert (last["event"], last["details"]["verb"]) == ("console.refuse", "account.look")
    viewer = yard.lab.signed_in("viewer", team="*").get("/leftovers")
    assert viewer.status_code == 403 and "auditor" in viewer.text


@pytest.mark.sandbox
def test_nobody_waits_for_a_look_and_one_serves_all_until_somebody_asks_for_another(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, looks = threading.Event(), list[str]()

    def slow(session: AccountSession) -> AccountSweep:
        looks.append(session.account.organization)
        assert go_on.wait(30)
        return real(session, environments=(DEAD,))

    real = sweep_account
    monkeypatch.setattr(leftovers, "sweep_account", slow)
    yard.lab.services.leftovers.forget()
    visitor, other = (yard.lab.signed_in("auditor", team="*") for _ in range(2))
    assert "Every service of the account is asked" in visitor.get("/leftovers").text
    waiting = other.get("/leftovers/list").text
    assert 'hx-trigger="load delay:2s"' in waiting and 'hx-get="/leftovers/list"' in waiting
    assert visitor.post("/leftovers/look", {}, page="/leftovers").headers["location"] == "/leftovers"
    go_on.set()
    assert yard.lab.services.leftovers.within(300)
    assert "What was found" in visitor.get("/leftovers?look=1").text
    assert "sec ago" in other.get("/leftovers").text and len(looks) == 1
    visitor.post("/leftovers/look", {"environment": DEAD}, page="/leftovers")
    assert yard.lab.services.leftovers.within(300) and len(looks) == 2
    yard.lab.services.leftovers.forget()


# ------------------------------------------------------------------------------------- deleting


def review(visitor: Visitor, **ticks: str) -> tuple[str, dict[str, str]]:
    """Return the page on which it is deleted, and what its form sends beside the word."""
    page = visitor.get(f"/leftovers/delete?{urlencode(ticks)}")
    assert page.status_code == 200, page.text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    return page.text, {name: value for name, value in hidden.items() if name != "form_token"}


def delete(visitor: Visitor, typed: str = "delete", **ticks: str) -> Response:
    """Read what goes, and send the form."""
    _, form = review(visitor, **ticks)
    return visitor.post("/leftovers/delete", {**form, "typed": typed}, page="/me")


@pytest.mark.sandbox
def test_only_who_may_delete_gets_there_and_only_just_after_proving_who_they_are(yard: Yard) -> None:
    page = shown(yard, "operator", f"/leftovers?environment={DEAD}")
    assert f'href="/leftovers/delete?environment={DEAD}"' in page
    for role in ("auditor", "admin"):
        visitor = yard.lab.signed_in(role, team="*")
        assert visitor.get("/leftovers/delete").status_code == 403
        assert visitor.post("/leftovers/delete", {}, page="/me").status_code == 403
    member = yard.lab.signed_in("operator", team=planted.TEAM)
    assert member.get("/leftovers/delete").status_code == 404
    operator = yard.lab.signed_in("operator", team="*")
    with yard.lab.services.database.writing() as database:
        database.execute(update(SessionRow).values(proved_at=utc_now() - datetime.timedelta(hours=1)))
    assert operator.get("/leftovers/delete").headers["location"].startswith("/prove")


@pytest.mark.sandbox
def test_the_review_says_what_goes_and_what_stays_and_why(yard: Yard) -> None:
    shown(yard, "operator")
    operator = yard.lab.signed_in("operator", team="*")
    page, _ = review(operator, environment=DEAD)
    told = yard.garden.shown(html.unescape(page))
    goes, stays = told.split('id="stays-title"')
    assert "<machine>" in goes and "<bucket>" not in goes and "<bucket>" in stays
    assert "Data is lost for good with it: it goes only where that is ticked." in stays
    assert "lies in it and stays" in stays and "<karpenter's volume>" not in told
    assert "fleetform sweep --environment gone --delete" in told and "This saves $" in goes
    whole, _ = review(operator, environment=DEAD, data="1")
    assert "<bucket>" in yard.garden.shown(html.unescape(whole)).split('id="stays-title"')[0]


@pytest.mark.sandbox
def test_without_the_word_or_after_a_change_nothing_is_begun_and_it_is_shown_again(yard: Yard) -> None:
    shown(yard, "operator")
    operator = yard.lab.signed_in("operator", team="*", language="ko")
    wrong = delete(operator, "yes", environment=DEAD)
    assert wrong.status_code == 422 and "입력할 단어와 다릅니다" in wrong.text
    _, form = review(operator, environment=DEAD)
    other = operator.post("/leftovers/delete", {**form, "data": "1", "typed": "삭제"}, page="/me")
    assert other.status_code == 409 and "다시 한번 확인하세요" in other.text
    assert acts_of(yard) == []


def acts_of(yard: Yard) -> list[ActStatus]:
    return [each for each in watch.newest(place_of(yard), "") if isinstance(each.act, Sweep)]


def place_of(yard: Yard) -> Place:
    return Place(yard.lab.services.settings, yard.lab.services.database)


@pytest.mark.sandbox
def test_beside_a_deletion_that_goes_on_no_other_one_is_begun(yard: Yard) -> None:
    place = place_of(yard)
    shown(yard, "operator")
    operator = yard.lab.signed_in("operator", team="*")
    _, form = review(operator, environment=DEAD)
    with going_on(place, add_person(place), Sweep(shown=())) as act_id:
        page, _ = review(operator, environment=DEAD)
        assert f'href="/acts/{act_id}"' in page and 'name="shown"' not in page
        answer = operator.post("/leftovers/delete", {**form, "typed": "delete"}, page="/me")
        assert answer.status_code == 422 and "deletes what is left over since" in answer.text
    assert [each.id for each in acts_of(yard)] == [act_id]


@pytest.mark.sandbox
def test_a_deletion_that_is_killed_is_gone_on_with_and_only_what_was_shown_goes(
    yard: Yard, tmp_path: Path
) -> None:
    """Console and act are killed while something is held; what was planted since then stays."""
    place, garden = place_of(yard), yard.garden
    shown(yard, "operator")
    swept = yard.lab.services.leftovers.within(60)
    assert swept is not None
    found = [each for each in swept.swept.found if each.environment == DEAD]
    goes = choose(found, Wanted(), swept.swept.account).goes
    places = tuple((*each.listed.key, each.listed.region) for each in goes)
    act = Sweep(scope=DEAD, shown=places)
    ann = add_person(place)
    hold = {"service": "ec2", "action": "TerminateInstances", "code": "IncorrectInstanceState", "status": 400}
    admin(yard.session.cloud, "POST", "faults", hold)
    with console_process(yard.lab.services.settings, ann, act) as (console, act_id):
        wait_for(
            lambda: any("waiting for" in each.event.text for each in watch.news(place, act_id).steps), 300
        )
        os.kill(console, signal.SIGKILL)
        os.kill(worker_of(place, act_id), signal.SIGKILL)
    lost = ended(place, act_id, 60)
    assert lost.state == "lost"
    page = yard.lab.signed_in("auditor", team="*").get(f"/acts/{act_id}").text
    assert "cut off" in page and "Do it again" not in page
    admin(yard.session.cloud, "DELETE", "faults")
    made = garden.call(
        "ec2", "create_security_group", GroupName="late", Description="x", VpcId=vpc_of(garden)
    )
    late = garden.plant("late", made["GroupId"], "ec2", "delete_security_group", GroupId=made["GroupId"])

    operator = yard.lab.signed_in("operator", team="*")
    begun = operator.post(f"/acts/{act_id}/repeat", {}, page="/me").headers["location"]
    done = ended(place, begun.rpartition("/")[2], 600)
    assert done.state == "done" and done.said["whole"], done.said
    assert garden.call("ec2", "describe_security_groups", GroupIds=[late])["SecurityGroups"]
    page = garden.shown(html.unescape(operator.get(begun).text))
    assert "were deleted" in page and "What remains" in page
    stays = page[page.index('id="stays-title"') : page.index('id="deleted-title"')]
    assert re.search(r"<late>.*?it was not there when you were asked", stays, re.DOTALL)
    assert stays.count("it was not there") == 1, "what was seen to stay keeps its reason"
    entries = [each for each in yard.session.ledger.entries() if each["event"] == "account.sweep"]
    assert [each["outcome"] for each in entries][-4:] == [
        "started",
        "interrupted",
        "started",
        "succeeded",
    ]
    assert entries[-1]["actor"]["asked_by"]["act"] == done.id
    assert "sweep --environment gone --delete" in entries[-1]["actor"]["asked_by"]["command"]


def vpc_of(garden: Garden) -> str:
    return next(identity for identity, label in garden.labels.items() if label == "vpc")


# ------------------------------------------------------------------------------------- in a browser


@pytest.mark.sandbox
@pytest.mark.browser
@pytest.mark.parametrize(("language", "width", "dark"), [("ko", 1280, True), ("en", 320, False)])
def test_everybody_can_read_it(yard: Yard, chromium: Browser, language: str, width: int, dark: bool) -> None:
    yard.lab.services.leftovers.forget()
    person = yard.lab.person(Grant("operator", "*"))
    with window(chromium, yard.lab, language=language, width=width, dark=dark) as seen:
        seen.enter(person.subject)
        page = seen.open("/leftovers")
        expect(page.locator("#left-title")).to_be_visible(timeout=120_000)
        for summary in page.locator("main section summary").all():
            summary.click()
        assert_fits(page)
        page.locator("#environment").select_option(DEAD)
        page.locator("form.filters button").click()
        expect(page.locator("#orphan-title")).to_be_visible(timeout=120_000)
        page.locator('a[href^="/leftovers/delete"]').click()
        expect(page.locator("#goes-title")).to_be_visible(timeout=120_000)
        page.locator("main section summary").click()
        assert_fits(page)


@pytest.mark.sandbox
@pytest.mark.browser
def test_what_is_left_over_is_deleted_with_the_mouse_and_by_typing_one_word(
    yard: Yard, chromium: Browser
) -> None:
    yard.lab.services.leftovers.forget()
    person = yard.lab.person(Grant("operator", "*"))
    with window(chromium, yard.lab, language="ko", width=360) as seen:
        seen.enter(person.subject)
        page = seen.open(f"/leftovers?environment={DEAD}")
        page.locator('a[href^="/leftovers/delete"]').click(timeout=120_000)
        page.locator("input[name=data]").check()
        page.get_by_role("button", name="삭제할 것 보기").click()
        page.locator("#typed").fill("삭제")
        page.get_by_role("button", name="영구 삭제").click()
        page.wait_for_url("**/acts/*")
        expect(page.locator("#deleted-title")).to_be_visible(timeout=300_000)
        assert_fits(page)
        page.get_by_role("link", name="남은 자원으로").click()
        expect(page.locator("#acts-title")).to_be_visible(timeout=120_000)
    theirs = {each for each in yard.garden.beds[planted.THEIRS] if each.startswith("vol-")}
    volumes = yard.garden.call("ec2", "describe_volumes", VolumeIds=sorted(theirs))["Volumes"]
    assert len(volumes) == len(theirs), "another tool's"


def assert_fits(page: Page) -> None:
    """Assert that nothing scrolls sideways, and that axe-core finds nothing."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert_accessible(page)
