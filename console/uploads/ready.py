"""Uploads that are checked and can be trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from console.people.accounts import Person
from console.services import Services
from console.store.upload_rows import READY
from console.uploads import keeper
from console.uploads.findings import read_findings
from console.uploads.keeper import Upload
from fleet.data_check import DataReport, data_folder
from fleet.data_preview import Preview


@dataclass(frozen=True, kw_only=True)
class ReadyUpload:
    """Data of somebody's own."""

    id: str
    path: Path
    """What a recipe's `data.path` takes."""
    kind: str
    """`pictures`, `table` or `text`."""
    name: str
    report: DataReport
    """Of a table, whose column to predict is still to be chosen, without what depends on that."""
    preview: Preview
    items: int
    """How many pictures, rows that were looked at, or documents there are."""


def ready(services: Services, upload_id: str, person: Person) -> ReadyUpload | None:
    """Return the person's upload of that id, None where there is none, it is another's or not ready."""
    found = keeper.find(services, upload_id)
    return _ready(found) if found is not None and found.person_id == person.id else None


def ready_ones(services: Services, person: Person) -> tuple[ReadyUpload, ...]:
    """Return all of the person's uploads that can be trained on, newest first."""
    found = (_ready(each) for each in keeper.of_person(services, person))
    return tuple(each for each in found if each is not None)


def _ready(upload: Upload) -> ReadyUpload | None:
    findings = read_findings(upload.folder.path) if upload.state == READY else None
    if findings is None or findings.preview is None or not upload.folder.data.is_dir():
        return None
    report, preview = findings.report, findings.preview
    return ReadyUpload(
        id=upload.id,
        path=data_folder(upload.folder.data),
        kind=upload.kind,
        name=upload.name,
        report=report,
        preview=preview,
        items=sum(report.items.values()) or preview.rows_seen,
    )
