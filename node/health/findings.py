"""What a health check has found, and a machine's whole report of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclass(frozen=True)
class Finding:
    """One check's result."""

    outcome: str
    """OK, WARNING (worth knowing; the machine may be used), FAILED (it may not), SKIPPED (does not apply)."""
    detail: str
    """One line: what was seen, or why the check does not apply."""


@dataclass(frozen=True)
class Checked:
    """A finding with the check's name and the seconds that it took."""

    name: str
    outcome: str
    detail: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """All that was found on one machine at one time."""

    checks: tuple[Checked, ...]
    seconds: float
    """What the whole look took; the checks run side by side."""

    @property
    def failed(self) -> tuple[Checked, ...]:
        """The checks for which the machine may not be used."""
        return tuple(each for each in self.checks if each.outcome == FAILED)

    @property
    def ok(self) -> bool:
        """Whether jobs may run here."""
        return not self.failed

    def why(self) -> str:
        """Return the failures in one line, "" where there are none."""
        return "; ".join(f"{each.name}: {each.detail}" for each in self.failed)

    def to_json(self) -> dict[str, Any]:
        """Return the report as it is kept on the machine's disk."""
        return {
            "ok": self.ok,
            "seconds": round(self.seconds, 3),
            "checks": [{**asdict(each), "seconds": round(each.seconds, 3)} for each in self.checks],
        }


def ok(detail: str) -> Finding:
    """Return that all is well."""
    return Finding(OK, detail)


def skipped(why: str) -> Finding:
    """Return that the check does not apply here."""
    return Finding(SKIPPED, why)


def warning(detail: str) -> Finding:
    """Return something that does not keep jobs away."""
    return Finding(WARNING, detail)


def failed(details: Sequence[str] | str) -> Finding:
    """Return why no job may run here."""
    return Finding(FAILED, details if isinstance(details, str) else ", ".join(details))
