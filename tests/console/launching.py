"""What tests of launches share: a draft that is brought to a step by the pages' own forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from console import launches
from console.launches import LaunchDraft
from tests.console.conftest import Studio
from tests.console.lab import ConsoleLab, Visitor


def begin(visitor: Visitor, environment: str = "studio") -> str:
    """Make a draft on a declared environment and return its path."""
    answer = visitor.post("/launch", {"environment": environment}, page="/launch")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].removesuffix("/data")


def bring(visitor: Visitor, path: str, known: str = "iris", passes: str = "2") -> str:
    """Choose known data and what is learned from it; return the path of the review."""
    answer = visitor.post(f"{path}/data", {"known": known}, page=f"{path}/data")
    assert answer.headers["location"] == f"{path}/recipe", answer.text
    form = {"want": "predict-column", "knob-passes": passes}
    answer = visitor.post(f"{path}/recipe", form, page=f"{path}/recipe")
    assert answer.headers["location"] == f"{path}/review", answer.text
    return f"{path}/review"


def resize(visitor: Visitor, path: str, nodes: int = 1, minutes: int = 60) -> httpx2.Response:
    """Say how many machines it takes for how long."""
    form = {"nodes": str(nodes), "minutes": str(minutes)}
    return visitor.post(f"{path}/review", form, page=f"{path}/review")


def press(lab: ConsoleLab, visitor: Visitor, path: str, what: str = "start", **form: str) -> httpx2.Response:
    """Send the review's form that starts the launch, or asks for an approval, for the draft as it is now."""
    sent = {"version": draft_at(lab, path).version, **form}
    return visitor.post(f"{path}/{what}", sent, page=f"{path}/review")


def draft_at(lab: ConsoleLab, path: str) -> LaunchDraft:
    """Return the draft as the database has it."""
    with lab.services.database.reading() as database:
        found = launches.find(database, path.rpartition("/")[2])
    assert found is not None
    return found


@contextmanager
def budget(studio: Studio, usd_per_month: float) -> Iterator[None]:
    """Let the studio's environment have a budget for as long as the block lasts."""
    file: Path = studio.lab.services.settings.project.environment_file("studio")
    text = file.read_text(encoding="utf-8")
    begun = re.sub(r"(?m)^#usd_per_month = 0$", f"usd_per_month = {usd_per_month}", text)
    assert begun != text, "the file has the setting as a comment; that of a team stands further in"
    file.write_text(begun, encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(text, encoding="utf-8")
