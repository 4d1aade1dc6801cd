"""Attempts to start machines, written down before EC2 is asked: what one leaves behind, another finishes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from node.elastic.backoff import locked
from node.elastic.head import write_whole
from node.elastic.wants import Want

_FOLDER = "attempts"


class TakenError(Exception):
    """Somebody is at work on the attempt."""


@dataclass(frozen=True)
class Attempt:
    """An attempt to start the machines of a want."""

    launch: str
    """Its id, with which all its machines are tagged."""
    want: Want
    began: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Journal:
    """The attempts that are not finished, one file each."""

    state: Path

    @contextlib.contextmanager
    def begin(self, want: Want) -> Iterator[Attempt]:
        """Yield the attempt for what is wanted, a left one where there is; it is finished with the block.

        Where the block fails the attempt stays, for whoever looks next. Raises TakenError where another
        process is at work on some of the nodes.
        """
        with locked(self._folder() / "begin.lock"):
            near = [each for each in self.unfinished() if set(each.want.names) & set(want.names)]
            if any(self.is_taken(each) for each in near):
                raise TakenError(",".join(want.names))
            left = [each for each in near if set(each.want.names) == set(want.names)]
            attempt = left[0] if left else Attempt(secrets.token_hex(8), want, time.time())
            if not left:
                write_whole(self._file(attempt), _text(attempt))
        with self.resume(attempt):
            yield Attempt(attempt.launch, want, attempt.began)

    @contextlib.contextmanager
    def resume(self, attempt: Attempt) -> Iterator[None]:
        """Work on an attempt, which is finished with the block. Raises TakenError."""
        lock = self._file(attempt).with_suffix(".lock")
        with locked(lock, TakenError):
            if not self._file(attempt).exists():
                raise TakenError("it was finished meanwhile")
            yield
            self._file(attempt).unlink(missing_ok=True)
        lock.unlink(missing_ok=True)

    def give_up(self, attempt: Attempt) -> None:
        """Strike an attempt off that nobody is at work on; machines of it are nobody's from then on."""
        with contextlib.suppress(TakenError), self.resume(attempt):
            pass

    def unfinished(self) -> list[Attempt]:
        """Return the attempts that are at work, or were left."""
        found = []
        for file in sorted(self._folder().glob("*.json")):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # finished meanwhile
                found.append(_parse(json.loads(file.read_text())))
        return found

    def is_taken(self, attempt: Attempt) -> bool:
        """Return whether a process is at work on the attempt."""
        try:
            with locked(self._file(attempt).with_suffix(".lock"), TakenError):
                return False
        except TakenError:
            return True

    def _folder(self) -> Path:
        """Return the folder; whoever owns the state owns it, for root's keeper often makes it."""
        folder = self.state / _FOLDER
        folder.mkdir(mode=0o775, exist_ok=True)
        owner = self.state.stat()
        if os.geteuid() == 0 and folder.stat().st_uid != owner.st_uid:
            os.chown(folder, owner.st_uid, owner.st_gid)
        return folder

    def _file(self, attempt: Attempt) -> Path:
        return self._folder() / f"{attempt.launch}.json"


def _text(attempt: Attempt) -> str:
    want = attempt.want
    return json.dumps({**asdict(attempt), "want": {**asdict(want), "jobs": list(want.jobs.items())}})


def _parse(told: Mapping[str, object]) -> Attempt:
    want = told["want"]
    assert isinstance(want, dict)
    jobs: Sequence[tuple[int, Sequence[str]]] = want["jobs"]
    return Attempt(
        str(told["launch"]),
        Want(
            fleet=want["fleet"],
            names=tuple(want["names"]),
            jobs={job: tuple(names) for job, names in jobs},
            together=want["together"],
        ),
        float(str(told["began"])),
    )
