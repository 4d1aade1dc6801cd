"""The uploads of a console: begun within limits, only their person's, checked by an act, deleted, swept."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from console.acts import start, watch
from console.acts.spec import Check
from console.acts.watch import ActStatus, Place
from console.people.accounts import Person
from console.services import Services
from console.store import upload_rows
from console.store.columns import new_id, utc_now
from console.store.upload_rows import CHECKING, OPEN
from console.store.work_tables import UploadRow
from console.uploads.check import folder_of
from console.uploads.manifest import BLOCK_BYTES, Kind, Manifest
from console.uploads.spool import UploadFolder
from fleet.policy import teams_of

RESERVE_BYTES = 512 * 2**20
"""What is left free of the disk, whatever people bring: the console's database lies there, too."""
_ORPHAN = datetime.timedelta(days=1)
"""A folder of no upload that is as old is none that is just being made."""


class NoRoomError(Exception):
    """There is no room for as much: `of` the person's own share, or of the console's disk."""

    def __init__(self, of: str, left: int) -> None:
        """Take whose room it is, `person` or `disk`, and how many bytes are left of it."""
        super().__init__(f"{left} bytes are left of the {of}'s room")
        self.of, self.left = of, left


class CheckUnderWayError(Exception):
    """It is being checked, or another one of the same person is."""


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One upload as it stands."""

    id: str
    person_id: str
    kind: Kind
    state: str
    """`open`, `checking`, `ready` or `refused`."""
    name: str
    files: int
    bytes: int
    """What was said that it has; once it is checked, what it takes."""
    created_at: datetime.datetime
    next_page: str
    """Where its person came from, "" from nowhere in particular."""
    folder: UploadFolder
    act: ActStatus | None
    """Its check."""

    @property
    def broken_off(self) -> bool:
        """Whether its check has ended without an answer, and is to be done again."""
        return self.state == CHECKING and (self.act is None or not self.act.under_way)

    @classmethod
    def of(cls, services: Services, row: UploadRow, act: ActStatus | None) -> Self:
        """Return what a row and the act that it names say."""
        return cls(
            id=row.id, person_id=row.person_id, kind=cast(Kind, row.kind), state=row.state,
            name=row.about["name"], files=row.about["files"], bytes=row.bytes, created_at=row.created_at,
            next_page=row.about.get("next", ""), folder=folder_of(services.settings.data, row.id), act=act,
        )  # fmt: skip


def begin(
    services: Services, person: Person, asked_by: Mapping[str, str], manifest: Manifest, next_page: str = ""
) -> str:
    """Begin an upload, on record, and return its id. Raises NoRoomError where there is no room for it."""
    upload_id, settings = new_id(), services.settings
    folder = folder_of(settings.data, upload_id)
    folder.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = shutil.disk_usage(folder.path.parent).free - RESERVE_BYTES
    if manifest.space > free:
        raise NoRoomError("disk", max(free, 0))
    row = UploadRow(
        id=upload_id, person_id=person.id, team=min(teams_of(person.grants, "data.upload")),
        kind=manifest.kind, state=OPEN, bytes=manifest.space,
        about={"name": manifest.name, "files": len(manifest.files), "next": next_page},
    )  # fmt: skip
    try:
        with services.database.writing() as database:
            left = settings.uploads.person_bytes - upload_rows.used_bytes(database, person.id)
            if manifest.space > left:
                raise NoRoomError("person", max(left, 0))
            folder.create(manifest)
            database.add(row)
            details = {"kind": manifest.kind, "files": len(manifest.files), "bytes": manifest.bytes}
            services.recorder.record(asked_by, "data.upload", upload_id, "recorded", details, within=database)
    except Exception:
        folder.remove()
        raise
    return upload_id


def find(services: Services, upload_id: str) -> Upload | None:
    """Return how an upload stands, None where there is none of that id."""
    with services.database.reading() as database:
        row = upload_rows.read(database, upload_id)
    return _settled(services, row) if row else None


def of_person(services: Services, person: Person) -> list[Upload]:
    """Return a person's uploads, newest first."""
    with services.database.reading() as database:
        rows = upload_rows.of_person(database, person.id)
    return [_settled(services, row) for row in rows]


def room_left(services: Services, person: Person) -> int:
    """Return how many bytes the person may still bring."""
    with services.database.reading() as database:
        used = upload_rows.used_bytes(database, person.id)
    return max(services.settings.uploads.person_bytes - used, 0)


def start_check(services: Services, person: Person, asked_by: Mapping[str, str], upload: Upload) -> None:
    """Have it checked, all of it having come; one check of a person at a time.

    Raises CheckUnderWayError where another one goes on. A second click starts nothing.
    """
    place = _place(services)
    act = Check(upload=upload.id, data_kind=upload.kind)
    others = [each for each in watch.under_way(place, act.environment) if each.person_id == person.id]
    if any(each.act != act for each in others):
        raise CheckUnderWayError
    act_id = start.start(place, person.id, asked_by, act)
    about: dict[str, Any] = {
        "name": upload.name, "files": upload.files, "next": upload.next_page, "act": act_id,
    }  # fmt: skip
    with services.database.writing() as database:
        upload_rows.note_check(database, upload.id, about)


def delete(services: Services, asked_by: Mapping[str, str], upload: Upload) -> None:
    """Delete it, on record. Raises CheckUnderWayError while it is being checked."""
    if upload.act is not None and upload.act.under_way:
        raise CheckUnderWayError
    with services.database.writing() as database:
        upload_rows.remove(database, upload.id)
        details = {"kind": upload.kind, "files": upload.files, "bytes": upload.bytes}
        services.recorder.record(asked_by, "data.delete", upload.id, "recorded", details, within=database)
    upload.folder.remove()


def sweep(services: Services) -> None:
    """Delete what nobody has finished for longer than the settings say, and folders of no upload."""
    now = utc_now()
    with services.database.reading() as database:
        rows, known = upload_rows.unfinished(database), upload_rows.known_ids(database)
    for row in rows:
        upload = _settled(services, row)
        under_way = upload.act is not None and upload.act.under_way
        if under_way or upload.state == upload_rows.READY:
            continue
        if now - _touched(upload) > services.settings.uploads.unfinished:
            delete(services, {"via": "console", "name": "the console itself"}, upload)
    folders = folder_of(services.settings.data, "").path
    for path in [*folders.iterdir()] if folders.is_dir() else []:
        made = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
        if path.name not in known and now - made > _ORPHAN:
            UploadFolder(path).remove()


def _touched(upload: Upload) -> datetime.datetime:
    try:
        return upload.folder.touched
    except FileNotFoundError:
        return upload.created_at


def _place(services: Services) -> Place:
    return Place(services.settings, services.database)


def _settled(services: Services, row: UploadRow) -> Upload:
    """Return how the upload stands; where its check has ended since the row was written, that is noted."""
    act_id = row.about.get("act", "")
    act = watch.status(_place(services), act_id) if act_id else None
    if row.state != CHECKING or act is None or act.state != "done":
        return Upload.of(services, row, act)
    usable = bool(act.said["usable"])
    size = max(act.said["bytes"], act.said["files"] * BLOCK_BYTES) if usable else BLOCK_BYTES
    with services.database.writing() as database:
        upload_rows.note_checked(database, row.id, usable=usable, size=size)
        settled = upload_rows.read(database, row.id)
    return Upload.of(services, settled or row, act)
