"""What somebody says that they bring: names and sizes, held against the limits before any of it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from console.uploads.limits import UploadLimits
from fleet.data_check import DataLimits, too_much
from fleet.file_names import first_of, name_problems, plain_name, shown
from fleet.trainer_process import Share
from stacks.problems import Problem, UserError

Kind = Literal["pictures", "table", "text"]
BLOCK_BYTES = 4096
"""What a file takes of a disk at least."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    path: str = Field(min_length=1, max_length=4096)
    size: int = Field(ge=0, le=2**50)


class _Wish(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    files: tuple[_File, ...]
    next: str = Field(default="", max_length=500)


@dataclass(frozen=True)
class BroughtFile:
    """One file by the name that it has with whoever brings it."""

    path: str
    """Relative, with `/`, NFC."""
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What an upload is to have, and the limits that held when it was begun."""

    kind: Kind
    files: tuple[BroughtFile, ...]
    limits: UploadLimits

    @property
    def bytes(self) -> int:
        """Bytes of all files together."""
        return sum(each.size for each in self.files)

    @property
    def space(self) -> int:
        """Bytes that they take of a disk, so that ten thousand empty files are not nothing."""
        return sum(max(each.size, BLOCK_BYTES) for each in self.files)

    @property
    def name(self) -> str:
        """What people know it by: the one file or folder, else the first of them and how many more."""
        tops = list(dict.fromkeys(each.path.partition("/")[0] for each in self.files))
        return shown(tops[0]) if len(tops) == 1 else f"{shown(tops[0])} + {len(tops) - 1}"

    @property
    def is_archive(self) -> bool:
        """Whether it is one zip, whose contents are what is brought."""
        return len(self.files) == 1 and self.files[0].path.lower().endswith(".zip")

    @property
    def data_limits(self) -> DataLimits:
        """The limits as the check of data has them."""
        limits = self.limits
        share = Share(
            memory_bytes=limits.check_memory_bytes,
            seconds=limits.check_seconds,
            picture_pixels=limits.picture_pixels,
        )
        return DataLimits(files=limits.files, bytes=limits.upload_bytes, share=share)

    def to_json(self) -> str:
        """Return it as `from_json` reads it."""
        about = {
            "kind": self.kind,
            "files": [[each.path, each.size] for each in self.files],
            "limits": {
                "upload_bytes": self.limits.upload_bytes,
                "files": self.limits.files,
                "picture_pixels": self.limits.picture_pixels,
                "check_seconds": self.limits.check_seconds,
                "check_memory_bytes": self.limits.check_memory_bytes,
            },
        }
        return json.dumps(about, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` has written."""
        about: Mapping[str, Any] = json.loads(text)
        files = tuple(BroughtFile(path, size) for path, size in about["files"])
        return cls(kind=about["kind"], files=files, limits=UploadLimits(**about["limits"]))


def read_wish(body: bytes, limits: UploadLimits) -> tuple[Manifest, str] | None:
    """Return what a page's script asks for, and the page to go to afterwards; None for what is no wish.

    Raises UserError with everything that is wrong with the files.
    """
    try:
        wish = _Wish.model_validate_json(body)
    except ValidationError:
        return None
    files = [BroughtFile(each.path, each.size) for each in wish.files]
    return make_manifest(wish.kind, files, limits), wish.next


def make_manifest(kind: Kind, files: Sequence[BroughtFile], limits: UploadLimits) -> Manifest:
    """Return the manifest of these files; raises UserError with everything that is wrong with them."""
    named = tuple(BroughtFile(plain_name(each.path), each.size) for each in files)
    manifest = Manifest(kind=kind, files=named, limits=limits)
    if problems := first_of(_problems(manifest)):
        raise UserError(problems)
    return manifest


def _problems(manifest: Manifest) -> Iterator[Problem]:
    yield from too_much(len(manifest.files), manifest.bytes, manifest.data_limits)
    if len(manifest.files) <= manifest.limits.files:
        yield from name_problems([each.path for each in manifest.files])
