"""Nobody writes lines of the log, or of the record, by choosing what things are called."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from console import serve as serving_room
from console.logs import logging_to
from tests.console.conftest import Studio
from tests.console.lab import OURS, ConsoleLab, settings_of

pytestmark = pytest.mark.console

FORGED = "2026-11-23T00:00:00.000Z ERROR fleetform.console: the vault is open"
ATTACK = f"name\r\n{FORGED}\n\x1b[2J\x1b]0;title\x07\x9b31m\u2028{FORGED}\u202egpj"
ENTRY = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+: ")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the console writes while the test lasts."""
    stream = io.StringIO()
    with logging_to(stream):
        yield stream


def assert_plain(text: str) -> None:
    """Assert that it tells of the attack, in no entry of its own, and with nothing that a terminal obeys."""
    assert "the vault is open" in text
    for line in text.split("\n"):
        assert not line.startswith(FORGED), text
        assert not line or ENTRY.match(line) or line.startswith("    | "), text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", text), repr(text)


def test_an_entry_that_holds_what_others_wrote_is_one_entry(log: io.StringIO) -> None:
    logging.getLogger("fleetform.console").warning("it can't be read: %s", ATTACK)
    assert_plain(log.getvalue())
    assert "\\x1b[2J" in log.getvalue() and "\\r" in log.getvalue()


def test_a_traceback_is_part_of_its_entry_whatever_its_error_says(log: io.StringIO) -> None:
    try:
        raise ValueError(ATTACK)
    except ValueError:
        logging.getLogger("console.remembered").exception("it could not be looked up")
    assert_plain(log.getvalue())
    assert "    | Traceback (most recent call last):" in log.getvalue()


def test_a_bug_that_names_what_was_asked_for_is_one_entry(
    lab: ConsoleLab, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError(ATTACK)

    monkeypatch.setattr(lab.services.estate, "all", broken)
    answer = lab.signed_in("viewer").get("/")
    assert answer.status_code == 500 and "the vault" not in answer.text
    assert_plain(log.getvalue())


def test_what_serves_the_console_logs_so_from_its_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Server:
        def run(self) -> None:
            logging.getLogger("uvicorn.error").warning("%s", ATTACK)

    (tmp_path / "environments").mkdir()
    server = serving_room.make_server(
        serving_room.open_services(settings_of(tmp_path, tmp_path, cloud="aws"))
    )
    assert server.config.log_config is None and not logging.getLogger("uvicorn.error").handlers
    monkeypatch.setattr(serving_room, "make_server", lambda services: Server())
    serving_room.serve(settings_of(tmp_path, tmp_path, cloud="aws"), lambda line: None)
    assert_plain(capsys.readouterr().err)


@pytest.mark.sandbox
def test_attempts_and_refusals_are_entries_of_their_own_and_say_no_more_than_that(studio: Studio) -> None:
    """The record is a chain of JSON: a name can't end an entry, and what is unknown is not named."""
    ledger, viewer = studio.environment.session.ledger, studio.lab.signed_in("viewer")
    token = viewer.token("/me")
    before = ledger.tail()[0]
    studio.lab.visitor().sign_in(ATTACK, ATTACK)
    viewer.client.get("/environments/vault/runs")
    viewer.client.post("/people/a%0D%0A%1B%5B31mforged/disable", headers={**OURS, "X-Form-Token": token})
    entries = ledger.entries_from(before + 1, 20)
    events = [(each["event"], each["outcome"]) for each in entries]
    assert events.count(("console.login", "failed")) == 1 and events.count(("console.refuse", "refused")) == 2
    assert all(each["details"].get("login", "unknown") == "unknown" for each in entries)
    assert ledger.verify().intact
