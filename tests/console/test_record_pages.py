"""The record in the console: read by auditors alone, verified, exported, reviewed; watchers watched."""

from __future__ import annotations

import datetime
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from console.acts.watch import Place
from console.pages import reviews
from fleet.policy import Grant, Role
from tests.console.acting import ended
from tests.console.conftest import Studio
from tests.console.lab import Visitor

pytestmark = [pytest.mark.console, pytest.mark.sandbox]
READS = ["/record", "/record/environments/studio", "/record/verify", "/record/export", "/reviews"]


def auditor(studio: Studio, team: str = "*") -> Visitor:
    return studio.lab.signed_in("auditor", team=team)


def numbers(page: str) -> list[int]:
    """Return the numbers of the entries that a page lists."""
    return [int(each) for each in re.findall(r'href="/record/entries/(\d+)">', page)]


def entries(studio: Studio, event: str) -> list[dict[str, object]]:
    return [each for each in studio.environment.session.ledger.entries() if each["event"] == event]


@pytest.fixture(scope="module")
def reader(studio: Studio) -> Visitor:
    """Somebody who reads the record of every team."""
    return auditor(studio)


def test_only_auditors_read_the_record(studio: Studio) -> None:
    """Whoever has every other role in every team is told which one it takes."""
    roles: tuple[Role, ...] = ("viewer", "member", "operator", "approver", "admin")
    person = studio.lab.person(*(Grant(role, "*") for role in roles))
    visitor = studio.lab.visitor()
    visitor.sign_in(person.subject)
    for path in READS:
        answer = visitor.get(path)
        assert answer.status_code == 403 and "auditor" in answer.text, path
    assert 'href="/record"' not in visitor.get("/").text


def test_an_auditor_of_one_team_reads_the_record_of_its_environments_alone(studio: Studio) -> None:
    reader = auditor(studio, "tests")
    page = reader.get("/record/environments/studio")
    assert page.status_code == 200 and "fleetform audit log --target studio" in page.text
    for path in ("/record/environments/vault", "/record/environments/nowhere", "/record", "/record/verify"):
        assert reader.get(path).status_code in (403, 404), path
    assert reader.get("/record/environments/vault").status_code == 404
    assert reader.get("/record/environments/vault/servers/i-0123456789abcdef0").status_code == 404


def test_failed_sign_ins_and_refusals_are_in_it_and_what_was_asked_for_narrows_it_down(
    studio: Studio, reader: Visitor
) -> None:
    person = studio.lab.person(Grant("viewer", "tests"), name="Narrow Down")
    studio.lab.visitor().sign_in(person.subject, "a wrong password")
    visitor = studio.lab.visitor()
    visitor.sign_in(person.subject)
    visitor.get("/people")
    page = reader.get("/record?person=Narrow+Down").text
    assert "Asked for what their role does not include" in page and "Signed in" in page
    for query, count in (("outcome=refused", 1), ("event=console.login", 1), ("event=people.grant", 0)):
        found = reader.get(f"/record?person={person.subject}&{query}").text
        assert len(numbers(found)) == count, query
    failed = reader.get("/record?event=console.login&outcome=failed").text
    assert "Narrow Down" in failed and "nobody who was signed in" in failed
    own = visitor.get(f"/record/people/{person.id}").text
    assert "nobody who was signed in" in own, "somebody tried to sign in as them"
    assert numbers(reader.get("/record?person=nobody-at-all").text) == []
    tomorrow = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)
    assert numbers(reader.get(f"/record?since={tomorrow}").text) == []
    assert numbers(reader.get("/record?until=2020-01-31").text) == []
    assert numbers(reader.get(f"/record?until={tomorrow}").text) != []


def test_what_is_no_filter_breaks_nothing(reader: Visitor) -> None:
    wrong = [
        "since=yesterday",
        "until=9999-12-31",
        "until=x",
        "before=x",
        "before=0",
        "outcome=%00",
        "event=%27;--",
        "person=%25",
    ]
    for query in wrong:
        assert reader.get(f"/record?{query}").status_code in (200, 400, 422), query


def test_an_entry_is_read_from_the_ledger_and_checked_with_its_neighbours(
    studio: Studio, reader: Visitor
) -> None:
    last = studio.environment.session.ledger.tail()[0]
    page = reader.get(f"/record/entries/{last - 1}").text
    assert page.count('<span class="badge good">yes</span>') == 3 and "badge bad" not in page
    assert f"fleetform audit entry {last - 1}" in page
    for wrong in ("0", "-1", "x", "99999999", "1" * 20, "1%00"):
        assert reader.get(f"/record/entries/{wrong}").status_code == 404, wrong


def test_an_entry_is_shown_to_whom_it_is_about_and_to_nobody_else(studio: Studio) -> None:
    ann, ben = studio.lab.signed_in("viewer"), studio.lab.signed_in("viewer", team="others")
    own = [each for each in entries(studio, "console.login") if _subject(each) == ann.login][-1]
    path = f"/record/entries/{own['sequence']}"
    assert ann.get(path).status_code == 200
    assert ben.get(path).status_code == 404


def _subject(entry: dict[str, object]) -> str:
    actor = entry["actor"]
    assert isinstance(actor, dict)
    return str(actor.get("asked_by", {}).get("subject"))


def test_who_looks_at_somebodys_record_is_on_record_once_and_seen_by_them(studio: Studio) -> None:
    ann = studio.lab.person(Grant("member", "tests"), name="Ann Watched")
    visitor = studio.lab.visitor()
    visitor.sign_in(ann.subject)
    own = f"/record/people/{ann.id}"
    page = visitor.get(own)
    assert page.status_code == 200 and "Nobody has, as far as this reaches." in page.text
    assert f'href="{own}"' in visitor.get("/me").text
    watcher = studio.lab.person(Grant("auditor", "*"), name="Will Watch")
    reader = studio.lab.visitor()
    reader.sign_in(watcher.subject)
    assert reader.get(own).status_code == reader.get(own).status_code == 200
    looks = [each for each in entries(studio, "record.look") if each["target"] == ann.id]
    assert len(looks) == 1
    assert "Will Watch" in visitor.get(own).text.partition("Who looked at this")[2]
    stranger = studio.lab.signed_in("member")
    assert stranger.get(own).status_code == 404


def test_verifying_is_an_act_whose_outcome_everybody_who_reads_sees(studio: Studio, reader: Visitor) -> None:
    answer = reader.post("/record/verify", {"days": "1"}, page="/record/verify")
    assert answer.status_code == 303, answer.text
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    found = ended(place, answer.headers["location"].removeprefix("/acts/"), 120)
    assert (found.state, found.said["sound"]) == ("done", True), found.said
    assert "To what was found" in reader.get(answer.headers["location"]).text
    page = reader.get("/record/verify").text
    assert found.said["head"] in page and "nothing is wrong" in page
    text = reader.get("/record").text
    assert "was not verified within the last day" not in text and "Verified up to entry" in text
    assert studio.lab.signed_in("operator", team="*").get(answer.headers["location"]).status_code == 403


def test_a_pack_is_made_after_proving_who_one_is_and_verifies_offline(studio: Studio, tmp_path: Path) -> None:
    reader = auditor(studio)
    today = datetime.datetime.now(datetime.UTC).date()
    form = {"environment": "studio", "since": str(today - datetime.timedelta(days=3)), "until": str(today)}
    wrong = reader.post("/record/export", {**form, "until": "2020-01-01"}, page="/record/export")
    assert wrong.status_code == 422 and "The last day comes before the first." in wrong.text
    answer = reader.post("/record/export", form, page="/record/export")
    assert answer.status_code == 303, answer.text
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    act = answer.headers["location"].removeprefix("/acts/")
    found = ended(place, act, 180)
    assert found.state == "done", found.said
    assert f"/record/packs/{act}" in reader.get("/record/export").text
    taken = reader.get(f"/record/packs/{act}")
    assert taken.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(taken.content)) as archive:
        archive.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert subprocess.run([sys.executable, "chain.py", "."], cwd=folder, check=False).returncode == 0
    taken_by = [each for each in entries(studio, "record.take") if _subject(each) == reader.login]
    assert [each["target"] for each in taken_by] == [act]
    assert entries(studio, "record.export")[-1]["details"]["pack_sha256"] == found.said["sha256"]  # type: ignore[index]
    assert auditor(studio, "tests").get(f"/record/packs/{act}").status_code in (403, 404)


def test_an_export_asks_for_the_password_again(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = auditor(studio)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)
    monkeypatch.setattr("console.web.visit.utc_now", lambda: later)
    answer = reader.get("/record/export")
    assert answer.status_code == 303 and answer.headers["location"].startswith("/prove")


def test_a_review_is_signed_once_with_what_there_was_to_look_at(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    monkeypatch.setattr(reviews, "_begun", lambda visit: today - datetime.timedelta(days=70))
    reader = auditor(studio)
    page = reader.get("/reviews").text
    assert "overdue" in page
    period = re.findall(r'name="period" value="([0-9-]+)"', page)[-1]
    form = {"kind": "access", "period": period, "note": "all as it should be"}
    empty = reader.post("/reviews", {**form, "note": " "}, page="/reviews")
    assert empty.status_code == 422 and "Say what was found" in empty.text
    assert reader.post("/reviews", form, page="/reviews").status_code == 303
    assert reader.post("/reviews", form, page="/reviews").status_code == 409
    assert reader.post("/reviews", {**form, "period": "1999-01"}, page="/reviews").status_code == 404
    (entry,) = (each for each in entries(studio, "review.sign") if _subject(each) == reader.login)
    assert entry["target"] == f"access {period}"
    assert any(each["name"] for each in entry["details"]["people"])  # type: ignore[index]
    assert "all as it should be" in reader.get("/reviews").text
