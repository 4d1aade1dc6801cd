"""Launches that people put together: each step fills in a part, and a change takes an approval back."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from console.store import draft_rows
from console.store.columns import utc_now
from console.store.database import Database, Session
from console.store.work_tables import DraftRow

NEWEST = 20
"""How many unfinished ones are shown."""
MINUTES = 240
"""After how long a launch is stopped where nobody says: much of what people begin with is over by then."""
_IN_COLUMNS = {"id", "person", "team", "act", "approved_by", "changed"}

Answer = Literal["", "waiting", "approved", "refused"]


class Approval(BaseModel):
    """Whether somebody lets it go over the budget."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    answer: Answer = ""
    """"" where nobody was asked."""
    usd: float = 0.0
    """What it may cost at most, as it was asked for."""
    left: float = 0.0
    """What was left of the budget then."""
    reason: str = ""
    """Why it is asked for."""
    said: str = ""
    """What whoever answered has said to it."""


class LaunchDraft(BaseModel):
    """What somebody has chosen so far; "" and 0 for what they have not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    person: str
    changed: datetime.datetime
    """When it was changed last, UTC."""
    act: str = ""
    """The act that it became."""
    team: str = ""
    """Whose share it counts to."""
    environment: str = ""
    starter: str = ""
    """What the environment begins with where it is to be declared first, "" for one that is."""
    owner: str = ""
    """Who answers for an environment that is to be declared: an e-mail address."""
    known: str = ""
    """Name of a bundled data set."""
    upload: str = ""
    """Id of an upload of the person's."""
    want: str = ""
    """The form's key (fleet/recipe_forms.py)."""
    values: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """What was filled in, by the knobs' keys."""
    items: int = 0
    """How many items of the data are trained on, where a closer look has counted them."""
    fleet: str = ""
    nodes: int = 1
    minutes: int = MINUTES
    """After which it is stopped."""
    run: str = ""
    """The run's id, given at the first start, so that a second click finds the run."""
    approval: Approval = Approval()
    approved_by: str = ""
    """The id of whoever has answered."""

    @property
    def version(self) -> str:
        """What a form sends back, so that nothing else is started or approved than was read."""
        return self.changed.isoformat()


@dataclass(frozen=True)
class Asked:
    """A launch that waits for somebody to let it go over the budget."""

    draft: LaunchDraft
    person_name: str


def make(database: Session, person_id: str, team: str, **chosen: Any) -> LaunchDraft:
    """Make a new one."""
    return _write(draft_rows.add(database, person_id, team), chosen)


def find(database: Session, draft_id: str) -> LaunchDraft | None:
    """Return the one of that id, None where there is none."""
    row = draft_rows.read(database, draft_id)
    return _read(row) if row else None


def unfinished(database: Session, person_id: str) -> list[LaunchDraft]:
    """Return the person's that were never started, the last changed first."""
    return [_read(row) for row in draft_rows.unfinished(database, person_id, NEWEST)]


def waiting(database: Session) -> list[Asked]:
    """Return everybody's that wait for an approval; whose team it is that may answer is for the caller."""
    found = [(_read(row), name) for row, name in draft_rows.not_started(database)]
    return [Asked(draft, name) for draft, name in found if draft.approval.answer == "waiting"]


def discard(database: Session, draft_id: str) -> None:
    """Throw one away."""
    draft_rows.remove(database, draft_id)


@contextlib.contextmanager
def changing(database: Database, draft_id: str) -> Iterator[Changing]:
    """Open one, which must be there, to be changed; nobody else changes it meanwhile."""
    with database.writing() as session:
        row = draft_rows.read(session, draft_id, changing=True)
        assert row is not None, "it was found before"
        yield Changing(session, row)


class Changing:
    """A launch that is being changed."""

    def __init__(self, session: Session, row: DraftRow) -> None:
        """Take its row, and the transaction."""
        self.session, self._row = session, row

    @property
    def draft(self) -> LaunchDraft:
        """What it is now."""
        return _read(self._row)

    def choose(self, **chosen: Any) -> LaunchDraft:
        """Note what was chosen, unless it is started; what was approved was another launch, if it differs."""
        draft = self.draft
        if draft.act or all(getattr(draft, name) == value for name, value in chosen.items()):
            return draft
        return _write(self._row, {**chosen, "approval": Approval(), "approved_by": ""})

    def note(self, **noted: Any) -> LaunchDraft:
        """Note what has become of it: its act, its run, its approval."""
        return _write(self._row, noted)


def _write(row: DraftRow, chosen: Mapping[str, Any]) -> LaunchDraft:
    changed = _read(row).model_copy(update=dict(chosen))
    row.about = changed.model_dump(mode="json", exclude=_IN_COLUMNS)
    row.team, row.act_id, row.approved_by = changed.team, changed.act, changed.approved_by
    row.changed_at = utc_now()
    return changed


def _read(row: DraftRow) -> LaunchDraft:
    columns = {"id": row.id, "person": row.person_id, "changed": row.changed_at, "team": row.team}
    ended = {"act": row.act_id, "approved_by": row.approved_by}
    return LaunchDraft.model_validate({**row.about, **columns, **ended})
