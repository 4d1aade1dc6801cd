"""Killed in the middle: the act lives on without its console, and what is killed too is gone on with."""

from __future__ import annotations

import datetime
import os
import signal
from pathlib import Path

import pytest

from console.acts import watch
from console.acts.spec import Down, Extend, Up
from console.acts.watch import Place
from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import open_session
from fleet.teardown_preview import preview
from tests.console.acting import (
    add_person,
    again,
    begin,
    console_process,
    ended,
    open_place,
    standing,
    worker_of,
)
from tests.console.lab import settings_of
from tests.real_stacks import declare
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox, pytest.mark.terraform]


def at_work(place: Place, act_id: str, stack: str) -> bool:
    """Return whether Terraform has finished something of the stack, and not all of it."""
    events = [step.event for step in watch.news(place, act_id).steps]
    return any(each.stack == stack and each.kind == "done" for each in events)


def test_the_truth_is_told_after_a_kill_and_the_act_goes_on_or_is_done_again(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    declare(tmp_path, sandbox, name="mortal", organization="kill-tests")
    settings = settings_of(tmp_path, sandbox_home)
    place = open_place(settings)
    ann = add_person(place)

    # The console is killed while the environment is being built: the act goes on to its end.
    with console_process(settings, ann, Up(environment="mortal")) as (console, up):
        wait_for(lambda: at_work(place, up, "mortal-base"), 120)
        os.kill(console, signal.SIGKILL)
    place = open_place(settings)
    assert standing(place, up).state == "working"
    built = ended(place, up, 400)
    assert (built.state, built.said["complete"]) == ("done", True), built.said

    # Its end is put off: the file says the new day, and so does what stands.
    extension = Extend(environment="mortal", until=datetime.date(2036, 1, 15), reason="the paper is late")
    extended = ended(place, begin(place, ann, extension), 400)
    assert (extended.state, extended.said["until"]) == ("done", "2036-01-15"), extended.said
    assert "lease_ends = 2036-01-15" in (tmp_path / "environments" / "mortal.toml").read_text()

    # Console and act are killed while it is being torn down: the act is lost, and Terraform goes on.
    with console_process(settings, ann, Down(environment="mortal", base=True)) as (console, down):
        wait_for(lambda: at_work(place, down, "mortal-fleet"), 120)
        os.kill(console, signal.SIGKILL)
        os.kill(worker_of(place, down), signal.SIGKILL)
    place = open_place(settings)
    lost = ended(place, down, 20)
    assert (lost.state, lost.said) == ("lost", {})
    session = open_session("mortal", "sandbox", project=Project(root=tmp_path, home=sandbox_home))
    assert preview(session, base=True).goes, "and the cloud tells what is still there"

    again_id = again(place, ann, down)
    proved = ended(place, again_id, 400)
    assert (proved.state, proved.said["proven"]) == ("done", True), proved.said
    assert (tmp_path / "receipts" / proved.said["receipt"] / "receipt.html").is_file()
    entries = session.ledger.entries()
    beside = ("state.unlock", "teardown.found")
    acts = [(each["event"], each["outcome"]) for each in entries if each["event"] not in beside]
    assert acts == [
        ("environment.up", "started"),
        ("environment.up", "succeeded"),
        ("lease.extended", "started"),
        ("environment.up", "started"),
        ("environment.up", "succeeded"),
        ("lease.extended", "succeeded"),
        ("environment.down", "started"),
        ("environment.down", "interrupted"),
        ("environment.down", "started"),
        ("environment.down", "succeeded"),
    ]
    asked = [each["actor"]["asked_by"] for each in entries]
    assert [each["act"] for each in asked if "down" in each["command"]][-2:] == [again_id] * 2
    assert {each["id"] for each in asked} == {ann.id} and session.ledger.verify().intact
