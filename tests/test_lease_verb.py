"""`fleetform lease extend` at its edges: what it refuses, and what an interrupted one leaves."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fleet.extension
import fleet.lease
import fleet.session
from fleet import plan
from fleet.cloud import Cloud
from fleet.lease import Extension, with_lease
from fleet.project import Project
from fleet.session import Session
from fleet.setting_changes import SettingChange
from fleet.synth import output_folder, stack_folder
from scripts import cli
from stacks import naming
from tests.run_environment import make_specs

BEFORE, UNTIL = datetime.date(2026, 12, 31), datetime.date(2027, 1, 15)
TEXT = "lease_ends = 2026-12-31\n"
EXTEND = ("lease", "extend", "vision", "--until", "2027-01-15", "--reason", "late", "--yes")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    account, spec = make_specs("vision", 1)
    return Session(Project(root=tmp_path, home=tmp_path / "home"), Cloud("none"), account, spec)


@pytest.fixture
def file(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand before an extension of which the cloud knows nothing yet; return the environment's file."""
    file = tmp_path / "vision.toml"
    file.write_text(TEXT)
    extension = Extension(
        file=file, before=BEFORE, until=UNTIL, reason="late", old_text=TEXT, new_text=with_lease(TEXT, UNTIL)
    )
    monkeypatch.setattr(fleet.session, "open_session", lambda *_, **__: session)
    monkeypatch.setattr(Session, "recording_refusal", _no_record)
    monkeypatch.setattr(Session, "require", lambda *_, **__: None, raising=False)
    monkeypatch.setattr(fleet.extension, "reread", lambda _: session)
    monkeypatch.setattr(fleet.extension, "propose", lambda *_: extension)
    monkeypatch.setattr(fleet.lease, "standing_end", lambda _: BEFORE)
    monkeypatch.setattr(fleet.extension, "standing_stacks", lambda _: naming.environment_stacks("vision"))
    return file


@contextmanager
def _no_record(*_: object) -> Iterator[None]:
    yield


def test_an_interruption_right_after_the_file_was_written_puts_it_back(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = Extension.write

    def interrupted(self: Extension) -> None:
        write(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Extension, "write", interrupted)
    assert cli.main(list(EXTEND)) == 130
    assert file.read_text() == TEXT
    assert "the file says 2026-12-31 again" in capsys.readouterr().err


def test_other_edits_of_the_file_are_not_applied_unseen(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [
        SettingChange(path=path, old=1, new=0, change="free", why="")
        for path in ("lease_ends", "fleets.gpu.nodes")
    ]
    monkeypatch.setattr(fleet.extension, "changed_settings", lambda _: changes)
    assert cli.main(list(EXTEND)) == 2
    printed = capsys.readouterr().err
    assert "the file also changes fleets.gpu.nodes, which would be applied unseen" in printed
    assert file.read_text() == TEXT


def test_an_extension_may_end_nodes_only_for_a_reason(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*EXTEND, "--anyway", " "]) == 2
    assert "the reason is empty" in capsys.readouterr().err
    assert file.read_text() == TEXT


def test_no_kept_plan_outlives_what_it_was_kept_for(session: Session) -> None:
    folder = stack_folder(output_folder(session), naming.fleet_stack("vision"))
    folder.mkdir(parents=True)
    kept = folder / plan.PLAN_FILE
    with pytest.raises(RuntimeError), plan.kept_plans(session):
        kept.write_text("a state's secrets")
        raise RuntimeError("another stack could not be planned")
    assert not kept.exists()
