"""A launch in four steps: what is chosen is started once, in the name of who chose it, and by nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from console import launches
from console.acts.spec import Down, Launch
from console.acts.watch import Place
from console.people import members
from fleet.policy import Grant
from fleet.runs import read_run
from sandbox.extensions.service_quotas import GENEROUS
from tests.console.acting import add_person, ended, going_on
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab, Visitor
from tests.console.launching import begin, bring, budget, draft_at, press, resize
from tests.live_cases import set_quota
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]


@pytest.fixture(scope="module")
def place(studio: Studio) -> Place:
    """Where the studio's console keeps its acts."""
    return Place(studio.lab.services.settings, studio.lab.services.database)


@pytest.fixture
def member(studio: Studio) -> Visitor:
    """Somebody who may train on the studio."""
    return studio.lab.signed_in("member")


def entries(studio: Studio, event: str) -> list[dict[str, Any]]:
    return [each for each in studio.environment.session.ledger.entries() if each["event"] == event]


def act_of(answer: Any) -> str:
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/acts/")


# ------------------------------------------------------------------------------ from end to end


def test_a_launch_trains_what_was_chosen_and_is_started_once(
    studio: Studio, place: Place, member: Visitor
) -> None:
    path = begin(member)
    review = bring(member, path)
    assert resize(member, path, minutes=30).headers["location"] == review
    page = member.get(f"{review}?look=1").text
    for told in ("Predict a column", "Iris flowers", "studio, for the team tests", "g5.xlarge", "$0.50"):
        assert told in page
    assert "fleetform run studio --recipe wine --nodes 1 --max-minutes 30 dataset=iris" in page
    act_id = act_of(press(studio.lab, member, path))
    assert act_of(press(studio.lab, member, path)) == act_id, "a second click leads to the same act"
    assert act_of(member.get(review)) == act_id, "so does the way back"
    found = ended(place, act_id, 120)
    assert found.state == "done", found.said
    run_id, store = found.said["run"], studio.environment.store
    wait_for(lambda: not read_run(store, run_id).active, 180)
    assert read_run(store, run_id).state == "SUCCEEDED"
    run = store.get_json(run_id, "run.json") or {}
    assert (run["recipe"], run["max_minutes"], run["nodes"]) == ("wine", 30, 1)
    assert run["asked_by"]["id"] == draft_at(studio.lab, path).person
    assert (
        len([each for each in entries(studio, "run.submit") if each["details"].get("run_id") == run_id]) == 1
    )


# ------------------------------------------------------------------------------ whose it is


def test_anothers_launch_is_not_there_and_asking_for_it_is_on_record(studio: Studio, member: Visitor) -> None:
    path, other = begin(member), studio.lab.signed_in("member")
    bring(member, path)
    for step in ("place", "data", "recipe", "review"):
        assert other.get(f"{path}/{step}").status_code == 404
        assert entries(studio, "console.refuse")[-1]["details"]["path"] == f"{path}/{step}"
        assert other.post(f"{path}/{step}", {}, page="/launch").status_code == 404
    for what in ("start", "ask", "discard"):
        assert other.post(f"{path}/{what}", {}, page="/launch").status_code == 404
    assert draft_at(studio.lab, path).act == ""


def test_who_may_not_train_is_refused_and_another_team_finds_no_place(studio: Studio) -> None:
    assert studio.lab.signed_in("viewer").get("/launch").status_code == 403
    assert studio.lab.signed_in().get("/launch").status_code == 404
    other = studio.lab.signed_in("member", team="others")
    page = other.get("/launch").text
    assert "studio" not in page and "There is no environment in which you may train" in page
    assert other.post("/launch", {"environment": "studio"}, page="/launch").status_code == 404
    assert other.post("/launch", {"environment": "vault"}, page="/launch").status_code == 403


def test_a_role_that_is_taken_away_takes_the_launch_along(studio: Studio, member: Visitor) -> None:
    path = begin(member)
    with launches.changing(studio.lab.services.database, path.rpartition("/")[2]) as changing:
        changing.note(team="others")
    assert member.get(f"{path}/data").status_code == 404


def test_what_was_begun_is_found_again_and_thrown_away(studio: Studio, member: Visitor) -> None:
    path = begin(member)
    assert f"{path}/review" in member.get("/launch").text
    assert member.post(f"{path}/discard", {}, page="/launch").headers["location"] == "/launch"
    assert path not in member.get("/launch").text
    assert member.get(f"{path}/data").status_code == 404


# ------------------------------------------------------------------------------ the steps


def test_a_step_leads_to_the_one_that_is_missing(member: Visitor) -> None:
    path = begin(member)
    for step in ("recipe", "review"):
        assert member.get(f"{path}/{step}").headers["location"] == f"{path}/data"
    member.post(f"{path}/data", {"known": "iris"}, page=f"{path}/data")
    assert member.get(f"{path}/review").headers["location"] == f"{path}/recipe"


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ("digits", ["/known/digits/pictures/0", "A picture of the class 0"]),
        ("wine", ["alcohol", "178 rows", "Forina"]),
        ("python_packages", ["Beginning of a text"]),
    ],
)
def test_known_data_shows_some_of_what_is_in_it(member: Visitor, known: str, shown: list[str]) -> None:
    page = member.get(f"{begin(member)}/data?known={known}").text
    for each in (*shown, f"fleetform data {known}", "Learn from this data"):
        assert each in page


def test_a_picture_of_known_data_is_a_picture(member: Visitor) -> None:
    answer = member.get("/known/digits/pictures/3")
    assert answer.headers["content-type"] == "image/png" and answer.content.startswith(b"\x89PNG")
    for wrong in ("digits/pictures/12", "digits/pictures/-1", "wine/pictures/0", "..%2F/pictures/0"):
        assert member.get(f"/known/{wrong}").status_code == 404


def test_data_that_there_is_not_is_refused(member: Visitor) -> None:
    path = begin(member)
    for form in ({"known": "../../etc"}, {"upload": "0123456789abcdef"}, {}):
        answer = member.post(f"{path}/data", form, page=f"{path}/data")
        assert answer.status_code == 409 and "not there any more" in answer.text


def test_a_knob_that_is_filled_in_wrong_says_so_beside_it(member: Visitor) -> None:
    path = begin(member)
    member.post(f"{path}/data", {"known": "digits"}, page=f"{path}/data")
    form = {"want": "sort-pictures", "knob-passes": "0", "knob-network": "huge"}
    answer = member.post(f"{path}/recipe", form, page=f"{path}/recipe")
    assert answer.status_code == 422
    assert 'id="knob-passes-fault"' in answer.text and 'id="knob-network-fault"' in answer.text
    answer = member.post(f"{path}/recipe", {"want": "continue-text"}, page=f"{path}/recipe")
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("nodes", "minutes"), [(0, 60), (2, 60), (1, 0), (1, 10**7), (-1, 60)], ids=lambda value: str(value)
)
def test_a_size_that_there_is_not_says_so_beside_it(member: Visitor, nodes: int, minutes: int) -> None:
    path = begin(member)
    bring(member, path)
    answer = resize(member, path, nodes, minutes)
    assert answer.status_code == 422 and "Take a whole number from 1 to" in answer.text


def test_what_has_changed_since_it_was_read_is_not_started(studio: Studio, member: Visitor) -> None:
    path = begin(member)
    review = bring(member, path)
    resize(member, path, minutes=30)
    answer = member.post(f"{path}/start", {"version": "2026-11-23T00:00:00+00:00"}, page=review)
    assert answer.headers["location"] == review
    assert draft_at(studio.lab, path).act == ""


# ------------------------------------------------------------------------------ what is too much


def test_a_launch_over_the_budget_ends_at_the_review_with_what_would_fit(
    studio: Studio, member: Visitor
) -> None:
    path = begin(member)
    review = bring(member, path)
    with budget(studio, 40):
        resize(member, path, minutes=2800)
        page = member.get(f"{review}?look=1").text
        assert "It may cost up to $46.95" in page and "stop it after" in page
        assert f"{path}/start" not in page and f"{path}/ask" in page
        answer = press(studio.lab, member, path)
        assert answer.status_code == 422 and "It can't be started like this" in answer.text
        assert draft_at(studio.lab, path).act == ""
        resize(member, path, minutes=60)
        assert f"{path}/start" in member.get(f"{review}?look=1").text


def test_an_approval_lets_exactly_what_was_read_go_over_the_budget(
    studio: Studio, place: Place, member: Visitor
) -> None:
    path = begin(member)
    review = bring(member, path)
    approver = studio.lab.signed_in("approver")
    with budget(studio, 40):
        resize(member, path, minutes=2800)
        assert "Say why it is worth it." in press(studio.lab, member, path, "ask", reason=" ").text
        press(studio.lab, member, path, "ask", reason="the fair is on Friday")
        assert "An approval is asked for, up to $46.95" in member.get(f"{review}?look=1").text
        page = approver.get("/approvals").text
        assert "the fair is on Friday" in page and "$46.95" in page and "Iris flowers" in page
        assert "fleetform audit log --event launch.approve" in page
        stale = {"answer": "approved", "version": draft_at(studio.lab, path).version}
        resize(member, path, minutes=2790)
        mine = f"/approvals/{path.rpartition('/')[2]}"
        assert approver.post(mine, stale, page="/approvals").status_code == 409, "it is another launch now"
        press(studio.lab, member, path, "ask", reason="the fair is on Friday")
        version = draft_at(studio.lab, path).version
        no = approver.post(mine, {"answer": "refused", "version": version}, page="/approvals")
        assert no.status_code == 422 and "Say why not." in no.text
        yes = {"answer": "approved", "version": version, "said": "go"}
        assert approver.post(mine, yes, page="/approvals").headers["location"] == "/approvals"
        assert "has approved it, up to $46.78" in member.get(f"{review}?look=1").text
        found = ended(place, act_of(press(studio.lab, member, path)), 120)
    try:
        assert found.state == "done", found.said
        assert isinstance(found.act, Launch) and found.act.approved_by
        asked, approved = entries(studio, "launch.ask")[-1], entries(studio, "launch.approve")[-1]
        assert asked["target"] == approved["target"] == path.rpartition("/")[2]
        assert approved["actor"]["asked_by"]["subject"] == approver.login
        assert approved["details"]["answer"] == "approved"
        started = [each for each in entries(studio, "run.submit") if each["outcome"] == "started"]
        assert started[-1]["details"]["approved_by"] == found.act.approved_by
    finally:
        store = studio.environment.store
        wait_for(lambda: not read_run(store, found.said["run"]).active, 180)


def test_nobody_approves_their_own_launch_nor_another_teams(studio: Studio) -> None:
    member = studio.lab.signed_in("member")
    path = begin(member)
    bring(member, path)
    mine = f"/approvals/{path.rpartition('/')[2]}"
    person_id = draft_at(studio.lab, path).person
    with studio.lab.services.database.writing() as database:
        members.add_grant(database, person_id, Grant("approver", "tests"), "tests")
    with budget(studio, 40):
        resize(member, path, minutes=2800)
        press(studio.lab, member, path, "ask", reason="it is mine")
    version = draft_at(studio.lab, path).version
    page = member.get("/approvals").text
    assert "It is your own" in page and mine not in page
    own = member.post(mine, {"answer": "approved", "version": version}, page="/approvals")
    assert own.status_code == 409 and "Nobody approves their own launch" in own.text
    last = entries(studio, "console.refuse")[-1]["details"]
    assert (last["verb"], last["own"]) == ("launch.approve", True)
    stranger = studio.lab.signed_in("approver", team="others")
    assert path.rpartition("/")[2] not in stranger.get("/approvals").text
    form = {"answer": "approved", "version": version}
    assert stranger.post(mine, form, page="/approvals").status_code == 404
    assert studio.lab.signed_in("operator").post(mine, form, page="/launch").status_code == 403
    assert studio.lab.signed_in("operator").get("/approvals").status_code == 403
    assert draft_at(studio.lab, path).approval.answer == "waiting"


# ------------------------------------------------------------------------------ new environments

NEW = {"starter": "first-steps", "name": "brand-new", "team": "tests", "owner": "kim@example.com"}


def new_draft(visitor: Visitor, **changed: str) -> str:
    answer = visitor.post("/launch", {**NEW, **changed}, page="/launch")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removesuffix("/data")


def test_everything_that_is_wrong_with_a_new_environment_is_told_at_once(studio: Studio) -> None:
    operator = studio.lab.signed_in("operator")
    wrong = {"starter": "gold", "name": "-x", "team": "others", "owner": "kim"}
    answer = operator.post("/launch", wrong, page="/launch")
    assert answer.status_code == 422
    for told in (
        "Choose what it begins with.",
        "Take 2 to 20 small letters",
        "You may not build environments for this team.",
        "This is no e-mail address.",
    ):
        assert told in answer.text
    taken = operator.post("/launch", {**NEW, "name": "vault"}, page="/launch")
    assert "There is an environment of this name." in taken.text
    member = studio.lab.signed_in("member")
    assert "In a new environment" not in member.get("/launch").text
    assert member.post("/launch", NEW, page="/launch").status_code == 403


def test_a_new_environment_is_reviewed_with_its_price_and_made_only_by_the_start(
    studio: Studio, place: Place
) -> None:
    operator, project = studio.lab.signed_in("operator"), studio.lab.services.settings.project
    path = new_draft(operator)
    review = bring(operator, path)
    page = operator.get(f"{review}?look=1").text
    for told in ("It is built first", "Build the environment and start", "brand-new, for the team tests"):
        assert told in page
    command = "fleetform init brand-new --team tests --owner kim@example.com --starter first-steps"
    assert f"{command}\nfleetform up brand-new\nfleetform run brand-new --recipe wine" in page
    file = project.environment_file("brand-new")
    assert not file.exists()
    try:
        with going_on(place, add_person(place), Down(environment="brand-new")):
            assert "a teardown goes on alone" in press(studio.lab, operator, path).text
        assert file.exists() and entries(studio, "environment.declare")[-1]["target"] == "brand-new"
        draft = draft_at(studio.lab, path)
        assert (draft.starter, draft.environment, draft.act) == ("", "brand-new", "")
        again = operator.get(f"{review}?look=1").text
        assert "Build the environment and start" in again and "fleetform init" not in again
    finally:
        file.unlink(missing_ok=True)


def test_a_quota_that_is_too_small_ends_at_the_review(studio: Studio) -> None:
    operator = studio.lab.signed_in("operator")
    path = new_draft(operator, name="quota-less")
    review = bring(operator, path)
    cloud = studio.environment.session.cloud
    set_quota(cloud, "us-east-1", "L-DB2E81BA", 0)
    try:
        page = operator.get(f"{review}?look=1").text
        assert "L-DB2E81BA" in page and f"{path}/start" not in page and f"{path}/ask" not in page
        assert press(studio.lab, operator, path).status_code == 422
    finally:
        set_quota(cloud, "us-east-1", "L-DB2E81BA", GENEROUS)
    assert f"{path}/start" in operator.get(f"{review}?look=1").text


def test_there_is_no_place_where_nothing_is_declared_and_nobody_may_build(lab: ConsoleLab) -> None:
    page = lab.signed_in("member").get("/launch").text
    assert "An operator of your team builds one." in page
    assert "In a new environment" in lab.signed_in("operator").get("/launch").text
