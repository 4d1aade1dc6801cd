"""Starts acts, each as a process of its own that outlives the console, and asks them to stop."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from console.acts import watch
from console.acts.folder import ActFolder, End, Task
from console.acts.spec import Act, Sweep, command_of, excludes, to_dict, verb_of
from console.acts.watch import ActStatus, Place
from console.store import act_rows
from console.store.columns import new_id
from console.store.work_tables import ActRow
from fleet.cloud import choose_cloud
from stacks.problems import Problem, UserError

_PACKAGES = Path(__file__).parents[2]
"""Where the rooms lie; the process finds `console` here, whatever folder it stands in."""


def start(place: Place, person_id: str, asked_by: Mapping[str, str], act: Act) -> str:
    """Start the act in the name of somebody who may do it, and return its id.

    Where the same person's same act goes on already, as after a second click, that one's. Raises UserError
    where another one is in the way.
    """
    watch.under_way(place, act.environment)  # what has ended since somebody looked is in nobody's way
    act_id, command, settings = new_id(), command_of(act), place.settings
    task = Task(
        act=act,
        project=settings.project,
        # The choice of now: the project's may be another one by the time that it is done again.
        cloud=choose_cloud(settings.project, settings.cloud).name,
        asked_by={**asked_by, "act": act_id, "command": command},
    )
    folder = place.folder(act_id)
    with ExitStack() as closing:
        with place.database.writing() as database:
            going = [ActStatus.of(row) for row in act_rows.under_way(database, act.environment)]
            for other in going:
                if other.act == act and other.person_id == person_id:
                    return other.id
            if problems := [_in_the_way(other) for other in going if excludes(act, other.act)]:
                raise UserError(problems)
            held = folder.create(task)
            closing.callback(os.close, held)
            row = ActRow(
                id=act_id, person_id=person_id, environment=act.environment, verb=verb_of(act),
                about=to_dict(act), command=command, state="working", said={},
            )  # fmt: skip
            database.add(row)
        _start_process(folder, task, held)
    return act_id


def repeat(place: Place, person_id: str, asked_by: Mapping[str, str], act_id: str) -> str:
    """Start the same act again and return the new one's id; it goes on from what the earlier one has left.

    Raises UserError where that one goes on still, or there is none of that id.
    """
    earlier = watch.status(place, act_id)
    if earlier is None:
        raise UserError.of(f"there is no act {act_id!r}", "start a new one")
    if earlier.under_way:
        raise UserError.of("it goes on still", "wait for its end, or stop it first")
    return start(place, person_id, asked_by, earlier.act)


def interrupt(place: Place, act_id: str) -> None:
    """Ask the act to stop, as ctrl-C stops the command: Terraform saves what it has done.

    Raises UserError where it is over, or only starting.
    """
    found = watch.status(place, act_id)
    if found is None or not found.under_way or not place.folder(act_id).interrupt():
        raise UserError.of("it can't be stopped: it is over, or only starting", "look again in a moment")


def _in_the_way(other: ActStatus) -> Problem:
    since = f"{other.created_at:%Y-%m-%d %H:%M} UTC"
    what = (
        f"`{other.command}` deletes what is left over since {since}"
        if isinstance(other.act, Sweep)
        else f"`{other.command}` goes on since {since}, and a teardown goes on alone"
    )
    return Problem(what=what, do="wait for its end, or stop it first")


def _start_process(folder: ActFolder, task: Task, held: int) -> None:
    """Start the process, which inherits the lock; where that fails, that is how the act ended."""
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    try:
        with folder.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "console.acts.work", str(folder.path)],
                cwd=task.project.root, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=[held],
            )  # fmt: skip
    except OSError as error:
        folder.finish(End.now("failed", message=f"it could not be started: {error}"))
        return
    # Somebody has to hear of its end, or the kernel keeps its number for as long as the console lives.
    threading.Thread(target=process.wait, name=f"act {folder.path.name}", daemon=True).start()
