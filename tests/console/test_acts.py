"""Acts: each a process of its own, in the name of who asked, that can be followed, stopped and done again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from console.acts import start, watch
from console.acts.spec import Down, Launch, Resume, Stop, Up, command_of, read_act, to_dict, verb_of
from console.acts.watch import Place
from console.people.accounts import Person
from fleet.environment import read_outputs
from fleet.job import JobSpec
from fleet.run_control import cancel
from fleet.run_store import RunStore
from fleet.runs import read_run
from fleet.submit import new_run_id, submit
from stacks.problems import UserError
from tests.console.acting import add_person, again, begin, ended, going_on, standing, worker_of
from tests.console.conftest import Studio
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]

STUBBORN = """\
import signal, time
until = time.monotonic() + 60
def hear(*_):
    global until
    until = min(until, time.monotonic() + {seconds})
signal.signal(signal.SIGTERM, hear)
print("begun", flush=True)
while time.monotonic() < until:
    time.sleep(0.1)
"""
"""Goes on for so many seconds after it was told to stop."""


@pytest.fixture(scope="module")
def place(studio: Studio) -> Place:
    """Where the studio's console keeps its acts."""
    return Place(studio.lab.services.settings, studio.lab.services.database)


@pytest.fixture(scope="module")
def ann(place: Place) -> Person:
    """Somebody with a name that is written in two lines."""
    return add_person(place, "Ann\nLee")


@pytest.fixture
def run_id(studio: Studio, tmp_path: Path) -> Iterator[str]:
    """A run that is being carried out and takes its time when it is told to stop."""
    script = tmp_path / "stubborn.py"
    script.write_text(STUBBORN.format(seconds=6), encoding="utf-8")
    session, store = studio.environment.session, studio.environment.store
    outputs = read_outputs(session)
    found = submit(session, outputs, JobSpec(environment="studio", script=script, procs_per_node=1)).run_id
    wait_for(
        lambda: any(b"begun" in (store.get(found, name) or b"") for name in store.sizes(found, "logs/")), 60
    )
    yield found
    over(store, studio, found)


def over(store: RunStore, studio: Studio, run_id: str) -> None:
    """End a run, so that the one node is free again."""
    cancel(store, studio.environment.session.ledger, run_id, "tests")


def test_an_act_is_done_on_record_in_the_name_of_who_asked_and_told_step_by_step(
    studio: Studio, place: Place, ann: Person, run_id: str
) -> None:
    act_id = begin(place, ann, Stop(environment="studio", run=run_id))
    found = ended(place, act_id)
    assert (found.state, found.said) == ("done", {"run": run_id, "state": "CANCELLED"})
    assert found.ended_at is not None and found.ended_at > found.created_at
    assert watch.newest(place, "studio", 1) == [found]
    assert read_run(studio.environment.store, run_id).cause == "cancelled by Ann Lee"
    entries = [each for each in studio.environment.session.ledger.entries() if each["target"] == run_id]
    asked = [each["actor"].get("asked_by", {}) for each in entries if each["event"] == "run.cancel"]
    assert [(each["id"], each["act"], each["via"]) for each in asked] == [(ann.id, act_id, "console")] * 2
    assert asked[0]["command"] == found.command == f"fleetform cancel studio {run_id}"
    told = watch.news(place, act_id)
    assert told.steps[0].event.text == "RUNNING, waiting for its end"
    assert watch.news(place, act_id, told.cursor).steps == (), "nothing is told twice"
    assert watch.news(place, act_id, "p" + "9" * 30) == watch.news(place, act_id, "junk") == told


def test_a_refusal_ends_it_with_every_problem(place: Place, ann: Person) -> None:
    found = ended(place, begin(place, ann, Stop(environment="studio", run="20200101-000000-nobody")))
    assert found.state == "refused"
    assert "there is no run '20200101-000000-nobody'" in found.said["problems"][0]["what"]


def test_one_that_is_killed_is_lost_and_doing_it_again_goes_on_from_there(
    place: Place, ann: Person, run_id: str
) -> None:
    first = begin(place, ann, Stop(environment="studio", run=run_id))
    wait_for(lambda: watch.news(place, first).steps, 30)
    os.kill(worker_of(place, first), signal.SIGKILL)
    assert ended(place, first).state == "lost"
    found = ended(place, again(place, ann, first))
    assert (found.state, found.said["state"]) == ("done", "CANCELLED")
    assert standing(place, first).state == "lost", "what became of that one stays as it was"


def test_one_that_is_interrupted_stops_as_the_command_does(
    studio: Studio, place: Place, ann: Person, run_id: str
) -> None:
    act_id = begin(place, ann, Stop(environment="studio", run=run_id))
    wait_for(lambda: watch.news(place, act_id).steps, 30)
    start.interrupt(place, act_id)
    assert ended(place, act_id, 20).state == "stopped"
    entries = [each for each in studio.environment.session.ledger.entries() if each["target"] == run_id]
    assert [each["outcome"] for each in entries if each["event"] == "run.cancel"] == [
        "started",
        "interrupted",
    ]
    with pytest.raises(UserError, match="it is over"):
        start.interrupt(place, act_id)


def test_a_second_click_starts_nothing_and_a_teardown_goes_on_alone(place: Place, ann: Person) -> None:
    up, bob = Up(environment="studio"), add_person(place, "Bob")
    with going_on(place, ann, up) as act_id:
        assert begin(place, ann, up) == act_id
        assert [each.id for each in watch.under_way(place, "studio")] == [act_id]
        with pytest.raises(
            UserError, match=r"`fleetform up studio` goes on since .* a teardown goes on alone"
        ):
            begin(place, bob, Down(environment="studio"))
        with pytest.raises(UserError, match="it goes on still"):
            again(place, ann, act_id)
        with pytest.raises(UserError, match="only starting"):
            start.interrupt(place, act_id)
        stop = begin(place, bob, Stop(environment="studio", run="20200101-000000-nobody"))
        assert ended(place, stop).state == "refused", "a run may be stopped meanwhile"
    assert standing(place, act_id).state == "lost"
    assert watch.under_way(place, "studio") == []


# ------------------------------------------------------------------------------ launches


def launch_of(run_id: str) -> Launch:
    return Launch(environment="studio", run=run_id, recipe="digits", overrides=("samples=256",))


def commands_to_the_head(studio: Studio, run_id: str) -> int:
    """Return how often a head node was told of the run."""
    listed = studio.environment.session.client("ssm").list_commands()["Commands"]
    document = studio.environment.outputs.run_document
    return sum((each["Comment"], each["DocumentName"]) == (run_id, document) for each in listed)


def test_a_launch_that_is_done_again_finds_its_run_instead_of_starting_another(
    studio: Studio, place: Place, ann: Person
) -> None:
    run_id, store = new_run_id(), studio.environment.store
    first = begin(place, ann, launch_of(run_id))
    try:
        assert ended(place, first, 120).state == "done", standing(place, first).said
        assert (store.get_json(run_id, "run.json") or {})["asked_by"] == {"id": ann.id, "name": ann.name}
        assert ended(place, again(place, ann, first), 120).said == {"run": run_id, "warnings": []}
        assert commands_to_the_head(studio, run_id) == 1
    finally:
        over(store, studio, run_id)


def test_a_run_of_which_no_head_was_told_is_gone_on_with(studio: Studio, place: Place, ann: Person) -> None:
    run_id, store = new_run_id(), studio.environment.store
    whole = store.get_json(studio.run_id, "run.json") or {}
    submitted = {**whole, "run_id": run_id, "submitted": "2026-11-01T00:00:00Z"}
    for name in ("launch.sh", "code.tar.gz"):
        body = store.get(studio.run_id, name) or b""
        store.s3.put_object(Bucket=store.bucket, Key=f"runs/{run_id}/{name}", Body=body)
    store.put(run_id, "run.json", submitted)
    found = ended(place, begin(place, ann, launch_of(run_id)), 120)
    assert found.state == "done", found.said
    assert commands_to_the_head(studio, run_id) == 1
    wait_for(lambda: read_run(store, run_id).state == "SUCCEEDED", 120)
    assert read_run(store, run_id).attempt == 2


# ------------------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("act", "verb", "command"),
    [
        (Up(environment="blue"), "environment.up", "fleetform up blue"),
        (
            Down(environment="blue", base=True, anyway="it's over"),
            "environment.down",
            "fleetform down blue --base --anyway 'it'\"'\"'s over'",
        ),
        (Stop(environment="blue", run="r-1"), "run.stop", "fleetform cancel blue r-1"),
        (Resume(environment="blue", run="r-1"), "run.resume", "fleetform run blue --resume r-1"),
        (
            Launch(
                environment="blue", run="r-1", recipe="digits", overrides=("a=1; rm",), nodes=2, fleet="gpu",
                team="red", max_minutes=30, build=True,
            ),
            "run.submit",
            "fleetform up blue\nfleetform run blue --recipe digits --nodes 2 --fleet gpu --team red "
            "--max-minutes 30 'a=1; rm'",
        ),
    ],
)  # fmt: skip
def test_an_act_is_a_value_with_its_right_and_its_command(act: Up, verb: str, command: str) -> None:
    assert (verb_of(act), command_of(act)) == (verb, command)
    assert read_act(to_dict(act)) == act


@pytest.mark.parametrize("name", ["../secrets", "a/b", "A", "x\r\nSet-Cookie: a", "-x", "a" * 41])
def test_what_is_no_name_is_no_act(name: str) -> None:
    with pytest.raises(ValidationError):
        Up(environment=name)
    with pytest.raises(ValidationError):
        Stop(environment="blue", run=f"{name}/")


def test_an_act_that_there_is_not_can_neither_be_seen_nor_stopped_nor_done_again(
    place: Place, ann: Person
) -> None:
    assert watch.status(place, "..") is None
    with pytest.raises(UserError):
        start.interrupt(place, "..")
    with pytest.raises(UserError):
        again(place, ann, "../../x")
