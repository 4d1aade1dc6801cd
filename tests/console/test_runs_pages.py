"""The pages of runs: lists, one run, several beside each other; another team's is as if it were not there."""

from __future__ import annotations

import datetime
import json

import pytest

from fleet.clock import utc_now
from fleet.policy import Grant, Role
from fleet.runs import read_run
from fleet.submit import new_run_id
from fleet.tail import Cursor
from tests.console.conftest import Studio
from tests.console.lab import Visitor
from tests.run_directories import ENDED, make, put
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]
RUNS = "/environments/studio/runs"
KIM = "arn:aws:sts::123456789012:assumed-role/studio-member/kim"
ROUTES = ("", "/{run}", "/{run}/events", "/{run}?rank=1")


@pytest.fixture
def viewer(studio: Studio) -> Visitor:
    return studio.lab.signed_in("viewer")


@pytest.fixture(scope="module")
def trained(studio: Studio) -> str:
    """A run that has logged steps and a receipt, as its directory tells."""
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=20)
    store, run_id = studio.environment.store, f"{yesterday:%Y%m%d-%H%M%S}-mmmmm"
    make(store, run_id, *ENDED, actor=KIM, price_usd_per_hour=2.0, instance_type="g5.xlarge")
    lines = [
        {
            "step": step,
            "time": "2026-01-01T00:00:02Z",
            "loss": 1 / step,
            "samples_per_s": 1234.5,
            "own": float("nan"),
        }
        for step in range(1, 1001)
    ]
    put(store, run_id, "metrics.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    put(store, run_id, "logs/node-0.log", b"<script>alert(1)</script>\n" + b"x\n" * 40_000 + b"the end\n")
    speedup = {"processes": 2, "cut_percent": 42.0, "one_process": {"basis": "projected"}}
    receipt = {"seconds": {"total": 65.0}, "cost": {"usd": 0.12}, "speedup": speedup}
    store.put(run_id, "receipt.json", receipt)
    return run_id


def test_the_list_leads_to_each_run_and_says_how_it_stands(
    studio: Studio, viewer: Visitor, trained: str
) -> None:
    # The list is some seconds old where another test has looked at it just before.
    page = wait_for(lambda: text if f'href="{RUNS}/{trained}"' in (text := viewer.get(RUNS).text) else None)
    assert f'href="{RUNS}/{studio.run_id}"' in page
    assert "fleetform runs list studio --limit 50" in page


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("state=SUCCEEDED", True), ("state=FAILED", False), ("state=active", False), ("person=kim", True),
     (f"person={KIM}", True), ("person=ki", False), ("state=nonsense", True)],
)  # fmt: skip
def test_the_list_is_narrowed_by_state_and_person(
    viewer: Visitor, trained: str, asked: str, shown: bool
) -> None:
    assert (trained in viewer.get(f"{RUNS}?{asked}").text) is shown


def test_what_comes_before_a_run_is_the_next_page(studio: Studio, viewer: Visitor, trained: str) -> None:
    page = viewer.get(f"{RUNS}?before={studio.run_id}").text
    assert trained in page and f"{RUNS}/{studio.run_id}" not in page and "Newest runs" in page


def test_a_run_s_page_tells_what_it_was_and_what_it_left(viewer: Visitor, trained: str) -> None:
    page = viewer.get(f"{RUNS}/{trained}").text
    assert "finished" in page and "g5.xlarge" in page and ">kim<" in page
    assert "42.0 %" in page and "projected from this run" in page and "$0.12" in page
    assert f"fleetform status studio {trained}" in page
    assert 'data-stream=""' in page  # it is over


def test_of_very_many_steps_some_are_shown_and_always_the_last(viewer: Visitor, trained: str) -> None:
    page = viewer.get(f"{RUNS}/{trained}").text
    rows = page.split('<table id="steps">')[1].split("</table>")[0].count("<tr>") - 1
    assert 300 < rows <= 400
    assert "<td>1000</td><td>0.001</td><td>1234.5</td>" in page
    assert "nan" not in page.lower().replace("nanum", "")


def test_the_end_of_a_long_log_is_shown_and_what_it_holds_is_text(viewer: Visitor, trained: str) -> None:
    page = viewer.get(f"{RUNS}/{trained}").text
    assert "the end" in page and "This is its end" in page
    assert len(page) < 200_000
    assert "<script>alert" not in page


def events_of(visitor: Visitor, path: str, **headers: str) -> list[tuple[str, dict[str, object]]]:
    """Return the events of a stream that ends: id and news."""
    found, identity = [], ""
    with visitor.client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("id: "):
                identity = line.removeprefix("id: ")
            elif line.startswith("data: "):
                found.append((identity, json.loads(line.removeprefix("data: "))))
    return found


def test_a_stream_brings_what_was_missed_and_ends_with_the_run(viewer: Visitor, trained: str) -> None:
    ((place, news),) = events_of(viewer, f"{RUNS}/{trained}/events")
    assert news["over"] is True and news["rows"][-1][:2] == ["1000", "0.001"]
    assert "42.0 %" in news["receipt"] and "finished" in news["state"]
    assert Cursor.parse(place).events == len(ENDED)
    ((_, again),) = events_of(viewer, f"{RUNS}/{trained}/events", **{"Last-Event-ID": place})
    assert (again["rows"], again["log"], again["events"].strip(), again["over"]) == ([], [], "", True)


@pytest.mark.parametrize("place", ["nonsense", "e1", "x" * 5000])
def test_a_place_that_is_none_is_a_mistake_and_no_error_of_ours(
    viewer: Visitor, trained: str, place: str
) -> None:
    assert viewer.get(f"{RUNS}/{trained}/events?from={place}").status_code == 422


@pytest.mark.parametrize("route", ROUTES)
def test_another_team_s_runs_are_not_there(studio: Studio, trained: str, route: str) -> None:
    other = studio.lab.signed_in("operator", team="others")
    answer = other.get(RUNS + route.format(run=trained))
    absent = other.get("/environments/absent/runs" + route.format(run=trained))
    assert answer.status_code == absent.status_code == 404
    assert answer.text.replace("/studio/", "/absent/") == absent.text


def test_a_further_team_s_run_is_not_shown_to_the_environment_s_own(
    studio: Studio, viewer: Visitor, trained: str
) -> None:
    theirs = "blue-20260101-000000-nnnnn"
    make(studio.environment.store, theirs, *ENDED, team="blue")
    assert theirs not in viewer.get(RUNS).text
    for route in ROUTES[1:]:
        assert viewer.get(RUNS + route.format(run=theirs)).status_code == 404
    compared = viewer.get(f"/environments/studio/compare?run={trained}&run={theirs}")
    assert compared.status_code == 404


@pytest.mark.parametrize("run_id", ["nothing", "..x", "%2e%2e%2fx", "a%0d%0aX:1", "A", "a" * 200, "%00", "é"])
def test_what_is_no_run_s_id_is_not_there(viewer: Visitor, run_id: str) -> None:
    for route in ("", "/events"):
        assert viewer.get(f"{RUNS}/{run_id}{route}").status_code == 404


def test_runs_are_compared_side_by_side(studio: Studio, viewer: Visitor, trained: str) -> None:
    page = viewer.get(f"/environments/studio/compare?run={trained}&run={studio.run_id}")
    assert page.status_code == 200
    assert "What was set differently" in page.text and "digits" in page.text and "ok.py" in page.text
    assert f"fleetform runs compare studio {trained} {studio.run_id}" in page.text


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_or_too_many_runs_are_refused_with_the_number(viewer: Visitor, count: int) -> None:
    query = "&".join(f"run={number}" for number in range(count))
    answer = viewer.get(f"/environments/studio/compare?{query}")
    assert answer.status_code == 409 and f"Choose 2 to 8 runs to compare; {count} were chosen." in answer.text


@pytest.mark.parametrize(
    ("role", "stops"), [("viewer", False), ("member", False), ("operator", True), ("auditor", False)]
)
def test_only_who_may_stop_a_run_is_offered_to_and_can(studio: Studio, role: Role, stops: bool) -> None:
    run_id = new_run_id()
    make(studio.environment.store, run_id, *ENDED[:3], submitted=utc_now())
    visitor, path = studio.lab.signed_in(role), f"{RUNS}/{run_id}"
    assert ("Stop this run" in visitor.get(path).text) is stops
    if not stops:
        for act in ("stop", "resume"):
            assert visitor.post(f"{path}/{act}", {}, page=path).status_code == 403
    make(studio.environment.store, run_id, *ENDED)


def test_one_s_own_run_is_one_s_own_to_stop_and_to_go_on_with(studio: Studio) -> None:
    person = studio.lab.person(Grant("member", "tests"))
    visitor, run_id = studio.lab.visitor(), new_run_id()
    visitor.sign_in(person.subject)
    own = {"submitted": utc_now(), "asked_by": {"id": person.id, "name": person.name}}
    make(studio.environment.store, run_id, *ENDED[:3], **own)
    assert "Stop this run" in visitor.get(f"{RUNS}/{run_id}").text
    make(studio.environment.store, run_id, *ENDED[:3], "FAILED", **own)
    page = visitor.get(f"{RUNS}/{run_id}").text
    assert "Stop this run" not in page and "Go on with this run" in page
    refused = visitor.post(f"{RUNS}/{run_id}/stop", {}, page=f"{RUNS}/{run_id}")
    assert refused.status_code == 409 and "This run has ended already." in refused.text


def test_the_model_of_a_finished_run_is_offered_to_who_may_take_it(studio: Studio, trained: str) -> None:
    for visitor, offered in ((studio.lab.signed_in("member"), True), (studio.lab.signed_in("viewer"), False)):
        page = visitor.get(f"{RUNS}/{trained}").text
        assert (
            (f'href="{RUNS}/{trained}/try"' in page) is (f'href="{RUNS}/{trained}/card"' in page) is offered
        )


def test_a_click_stops_a_run(studio: Studio) -> None:
    run_id = new_run_id()
    make(studio.environment.store, run_id, "QUEUED", environment="studio")  # nobody carries it out
    visitor, path = studio.lab.signed_in("operator"), f"{RUNS}/{run_id}"
    answer = visitor.post(f"{path}/stop", {}, page=path)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/acts/")
    wait_for(lambda: not read_run(studio.environment.store, run_id).active, seconds=90)
    assert read_run(studio.environment.store, run_id).state == "CANCELLED"
