"""What is left over in the account, as a page: proven, priced, and shown to who sees every team alone."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from console import leftovers
from console.words.languages import KOREAN
from console.words.reader import Reader
from console.words.said import said
from fleet.account_sweep import sweep_account
from fleet.cloud import Cloud
from fleet.orphans.report import AccountSweep
from fleet.policy import Role
from fleet.session import AccountSession
from tests import orphans_planted as planted
from tests.console.lab import ConsoleLab, serving, settings_of
from tests.orphans_planted import DEAD, Garden
from tests.sandbox_helpers import admin

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
    assert "What was found" in visitor.get("/leftovers?look=1").text
    assert "sec ago" in other.get("/leftovers").text and len(looks) == 1
    visitor.post("/leftovers/look", {"environment": DEAD}, page="/leftovers")
    visitor.get("/leftovers?look=1")
    assert len(looks) == 2
    yard.lab.services.leftovers.forget()
