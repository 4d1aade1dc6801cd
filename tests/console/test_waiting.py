"""What waits for a person on the home page: their own launches and runs, and what they may answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from console import launches
from console.acts.spec import Launch
from console.acts.watch import Place
from console.launches import Approval
from console.people.accounts import Person
from fleet.clock import utc_now
from fleet.policy import Grant, Role
from fleet.submit import new_run_id
from tests.console.acting import going_on
from tests.console.conftest import Studio
from tests.console.lab import Visitor
from tests.run_directories import ENDED, make, put
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]


def signed_in(studio: Studio, role: Role) -> tuple[Person, Visitor]:
    """Return a new person and their browser."""
    person, visitor = studio.lab.person(Grant(role, "tests")), studio.lab.visitor()
    visitor.sign_in(person.subject)
    return person, visitor


def waits(visitor: Visitor) -> str:
    """Return the list of what waits."""
    return visitor.get("/").text.partition('id="needs-title"')[2].partition("</section>")[0]


@pytest.fixture
def failed(studio: Studio) -> Iterator[tuple[Person, str]]:
    """A person of the team, and a run of theirs that has just failed."""
    person, run_id = studio.lab.person(Grant("member", "tests")), new_run_id()
    store, now = studio.environment.store, utc_now()
    own = {"submitted": now, "asked_by": {"id": person.id, "name": person.name}}
    make(store, run_id, "QUEUED", **own)
    put(
        store,
        run_id,
        "events.jsonl",
        f'{{"time": "{now}", "event": "FAILED", "detail": {{"cause": "no GPU"}}}}\n'.encode(),
    )
    yield person, run_id
    make(store, run_id, *ENDED)


def test_a_run_that_failed_today_waits_for_who_may_go_on_with_it(
    studio: Studio, failed: tuple[Person, str]
) -> None:
    person, run_id = failed
    mine, others = studio.lab.visitor(), studio.lab.signed_in("member")
    mine.sign_in(person.subject)
    wait_for(lambda: run_id in waits(mine), 30)
    assert f'href="/environments/studio/runs/{run_id}"' in waits(mine) and "no GPU" in waits(mine)
    assert run_id not in waits(others) and run_id in waits(studio.lab.signed_in("operator"))


def test_a_launch_that_came_to_nothing_waits_for_who_asked(studio: Studio) -> None:
    person, visitor = signed_in(studio, "member")
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    act = Launch(environment="studio", run=new_run_id(), recipe="digits")
    with going_on(place, person, act):
        assert "your launch did not begin" not in waits(visitor)
    assert "your launch did not begin" in waits(visitor)
    with going_on(place, person, act):
        assert "your launch did not begin" not in waits(visitor), "it was done again"
    assert "your launch did not begin" not in waits(studio.lab.signed_in("member"))


def test_an_approval_waits_for_who_may_give_it_and_the_answer_for_who_asked(studio: Studio) -> None:
    ann, asking = signed_in(studio, "member")
    _, approving = signed_in(studio, "approver")
    database = studio.lab.services.database
    with database.writing() as session:
        draft = launches.make(
            session, ann.id, "tests", environment="studio", approval=Approval(answer="waiting")
        )
    hers = f"Launch of {ann.name}"
    assert hers in waits(approving) and hers not in waits(asking)
    assert hers not in waits(studio.lab.signed_in("approver", team="others"))
    with launches.changing(database, draft.id) as changing:
        changing.note(approval=Approval(answer="refused", said="too dear"))
    assert hers not in waits(approving)
    assert f"/launch/{draft.id}/review" in waits(asking) and "too dear" in waits(asking)
    with database.writing() as session:
        launches.discard(session, draft.id)
