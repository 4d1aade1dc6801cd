"""What became of each scenario: kept one a line, and summed up in tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.faults.phases import PHASES


@dataclass(kw_only=True)
class Row:
    """One scenario as it went."""

    seed: int
    number: int
    command: str
    phase: str
    injury: str
    place: int
    hit: bool = False
    """Whether the fault hit a call at all."""
    first: int = 0
    """Exit code of the command that was hit; below 0 the signal that ended it."""
    repeats: list[int] = field(default_factory=list)
    """Exit codes of the same command, given again plainly until it does what was asked, thrice at most."""
    converged: bool = False
    """Whether the first plain repeat did what was asked, and an `up` left nothing to do for a plan."""
    leftovers: list[str] = field(default_factory=list)
    """What stands after the round trip that it was part of."""
    ledger: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the commands said where something was wrong."""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether everything that must hold held."""
        return self.converged and not (self.leftovers or self.ledger or self.lost or self.doubled)


def read_rows(file: Path, seed: int) -> dict[int, Row]:
    """Return the rows of that seed by number, of each the last; a line that was cut off is left out."""
    rows: dict[int, Row] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            row = Row(**json.loads(line))
        except (ValueError, TypeError):
            continue  # a campaign was killed while it wrote, or an older one wrote other fields
        if row.seed == seed:
            rows[row.number] = row
    return rows


def append(file: Path, rows: Iterable[Row]) -> None:
    """Add the rows of one round trip, in one write."""
    text = "".join(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as out:
        out.write(text)


def tables(rows: Sequence[Row]) -> str:
    """Return the tables: by phase, by fault, and a line for each scenario in which something did not hold."""
    order = [(phase.command, phase.name) for phases in PHASES.values() for phase in phases]
    by_phase = _table(
        "phase", rows, lambda row: f"{row.command} {row.phase}", [f"{one} {two}" for one, two in order]
    )
    by_injury = _table("fault", rows, lambda row: row.injury, sorted({row.injury for row in rows}))
    bad = [f"  {row.number}: {_what(row)}" for row in rows if not row.good]
    return "\n\n".join([by_phase, by_injury, *(["did not hold:\n" + "\n".join(bad)] if bad else [])])


def _what(row: Row) -> str:
    """Return what did not hold in a scenario, in a line."""
    about = f"{row.command} {row.phase} ({row.place}), {row.injury}"
    wrong = [] if row.converged else [f"exit codes {row.first}, {', '.join(map(str, row.repeats))}"]
    wrong += [f"left: {', '.join(row.leftovers[:3])}"] if row.leftovers else []
    wrong += [each[0] for each in (row.ledger, row.lost, row.doubled) if each]
    return f"{about}: {'; '.join(wrong)}"[:300]


_COLUMNS: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("scenarios", lambda row: True),
    ("hit", lambda row: row.hit),
    ("converged", lambda row: row.converged),
    ("leftovers", lambda row: bool(row.leftovers)),
    ("ledger", lambda row: bool(row.ledger)),
    ("lost", lambda row: bool(row.lost)),
    ("doubled", lambda row: bool(row.doubled)),
)


def _table(title: str, rows: Sequence[Row], key: Callable[[Row], str], order: Sequence[str]) -> str:
    """Return a table that counts the scenarios of each key, with a line of sums."""
    width = max(len(title), *(len(each) for each in order), len("all"))
    head = "  ".join([title.ljust(width), *(name for name, _ in _COLUMNS)])

    def line(name: str, chosen: Sequence[Row]) -> str:
        counts = (str(sum(map(holds, chosen))).rjust(len(column)) for column, holds in _COLUMNS)
        return "  ".join([name.ljust(width), *counts])

    grouped = {name: [row for row in rows if key(row) == name] for name in order}
    return "\n".join([head, *(line(name, each) for name, each in grouped.items() if each), line("all", rows)])
