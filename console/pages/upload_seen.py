"""The upload that a page is about: only its person's, and only theirs who may bring data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from console.uploads import keeper
from console.uploads.keeper import Upload
from console.uploads.manifest import Manifest
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


@dataclass(frozen=True)
class OwnUpload:
    """An upload of the person who asks."""

    visit: Visit
    upload: Upload

    @property
    def path(self) -> str:
        """The path of its page."""
        return f"/uploads/{self.upload.id}"

    @property
    def manifest(self) -> Manifest:
        """What it is to have; raises RefusedError where its files are not on this machine."""
        try:
            return self.upload.folder.manifest
        except FileNotFoundError:
            raise RefusedError(self.gone) from None

    @property
    def is_here(self) -> bool:
        """Whether its files are on this machine."""
        return self.upload.folder.is_here

    @property
    def gone(self) -> str:
        """What is said where they are not."""
        _ = self.visit.reader.gettext
        return _("The files of this upload are not here any more. Bring them again.")


def require_may_bring(visit: Visit) -> None:
    """Raise NotAllowedError, on record, where the person may bring data in none of their teams."""
    visit.require("data.upload", sorted({grant.team for grant in visit.person.grants}))


def _own(visit: AnyVisit, upload_id: str) -> OwnUpload:
    """Return the person's upload; raises NotThereError for any other, on record where it is somebody's."""
    require_may_bring(visit)
    upload = keeper.find(visit.services, upload_id) if _ID.fullmatch(upload_id) else None
    if upload is None:
        raise NotThereError
    if upload.person_id != visit.person.id:
        details = {"verb": "data.upload", "path": visit.request.url.path[:200]}
        visit.services.recorder.record(visit.asked_by, "console.refuse", upload.id, "refused", details)
        raise NotThereError
    return OwnUpload(visit, upload)


AnyUpload = Annotated[OwnUpload, Depends(_own)]
"""What a page asks for that is about one upload."""
