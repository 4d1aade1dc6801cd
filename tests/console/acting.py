"""What tests of acts share: a console process that can be killed, waiting for an end, an act held by hand.

`python -m tests.console.acting ROOT HOME ACT` is such a console: it starts the act, tells its id, and waits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from console.acts import start, watch
from console.acts.folder import Task
from console.acts.spec import Act, command_of, read_act, to_dict, verb_of
from console.acts.watch import ActStatus, Place
from console.people import accounts
from console.people.accounts import Person
from console.recorder import asked_by
from console.services import open_services
from console.settings import Settings
from console.store.columns import new_id
from console.store.work_tables import ActRow
from tests.console.lab import settings_of
from tests.sandbox_helpers import wait_for

ROOT = Path(__file__).parents[2]


def open_place(settings: Settings) -> Place:
    """Return where a console with these settings keeps its acts, as after a restart."""
    return Place(settings, open_services(settings).database)


def add_person(place: Place, name: str = "Ann Lee") -> Person:
    """Make somebody who acts; what they may is for the pages to ask."""
    with place.database.writing() as database:
        return accounts.create_account(database, name=name, login=new_id(), password="x" * 12, grants=[])


def begin(place: Place, person: Person, act: Act) -> str:
    """Start an act as a page does."""
    return start.start(place, person.id, asked_by(person, "127.0.0.1"), act)


def again(place: Place, person: Person, act_id: str) -> str:
    """Do an act again as its page does."""
    return start.repeat(place, person.id, asked_by(person, "127.0.0.1"), act_id)


def standing(place: Place, act_id: str) -> ActStatus:
    """Return how an act stands that is there."""
    found = watch.status(place, act_id)
    assert found is not None
    return found


def ended(place: Place, act_id: str, seconds: float = 60) -> ActStatus:
    """Return how an act ended, once it has."""
    wait_for(lambda: not standing(place, act_id).under_way, seconds)
    return standing(place, act_id)


def worker_of(place: Place, act_id: str) -> int:
    """Return the number of the act's process, once it says that it is ready."""
    lock = place.folder(act_id).path / "act.lock"
    return int(wait_for(lambda: lock.read_text(encoding="utf-8"), 30))


@contextmanager
def going_on(place: Place, person: Person, act: Act) -> Iterator[str]:
    """Let an act go on for as long as the block lasts: its lock is held, and nothing is done."""
    act_id, settings = new_id(), place.settings
    task = Task(act=act, project=settings.project, cloud=settings.cloud, asked_by={"name": person.name})
    held = place.folder(act_id).create(task)
    row = ActRow(
        id=act_id, person_id=person.id, environment=act.environment, verb=verb_of(act), about=to_dict(act),
        command=command_of(act), state="working", said={},
    )  # fmt: skip
    with place.database.writing() as database:
        database.add(row)
    try:
        yield act_id
    finally:
        os.close(held)


@contextmanager
def console_process(settings: Settings, person: Person, act: Act) -> Iterator[tuple[int, str]]:
    """Run a console in a process of its own that starts the act; yield its number and the act's id."""
    project = settings.project
    command = [sys.executable, "-m", "tests.console.acting", str(project.root), str(project.home)]
    told = json.dumps({"person": person.id, "act": to_dict(act)})
    child = subprocess.Popen([*command, told], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        act_id = child.stdout.readline().strip()
        assert act_id, "the console did not start the act"
        yield child.pid, act_id
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def main(root: str, home: str, told: str) -> None:
    """Start the act, tell its id, and live on as a console does."""
    about: Mapping[str, str] = json.loads(told)
    place = open_place(settings_of(Path(root), Path(home)))
    with place.database.reading() as database:
        person = accounts.read_person(database, about["person"])
    print(begin(place, person, read_act(json.loads(told)["act"])), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
