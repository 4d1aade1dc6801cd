"""The ledger as a whole: verified in one pass with its checkpoints, and copied so that it verifies itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from fleet import aws, chain, ledger_copy
from fleet.checkpoint_check import Checked, check
from fleet.cloud import Cloud
from fleet.ledger_reading import PREFIX, LedgerReader
from fleet.locked_bucket import History
from fleet.refused import in_words
from stacks import naming
from stacks.problems import UserError

_CHECKPOINTS = naming.CHECKPOINTS_PREFIX
_SLICE = 5000
"""Entries that are held at the same time."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Signed:
    """Checkpoints as they were read."""

    files: Mapping[str, bytes]
    """Name and bytes of each."""
    key: bytes | None
    """The public key that signs them, in DER; None where it can't be had, or there is nothing to check."""
    checked: Checked


class WholeLedger(LedgerReader):
    """The chain in one bucket, and the checkpoints beside it."""

    def __init__(self, cloud: Cloud, bucket: str, region: str, *, key: str = "") -> None:
        """Prepare to read from `bucket`; `key` is the alias of the key that signs checkpoints."""
        super().__init__(cloud, bucket, region)
        self._cloud, self._region, self._key_alias = cloud, region, key

    def verify(
        self, head: str | None = None, tell: Callable[[int, int], None] = lambda done, total: None
    ) -> chain.Report:
        """Check the live chain, its checkpoints, and that nothing of these was written over or deleted.

        `tell` hears how many of all entries are done; few of them are held at a time.
        """
        signed = self._reading(self._signed)
        return self._reading(lambda: self._pass(signed.checked, head, tell, lambda name, data: None))

    def export(
        self, folder: Path, tell: Callable[[int, int], None] = lambda done, total: None
    ) -> chain.Report:
        """Write the whole chain to `folder` with the program that verifies it, and return its verification.

        The folder gets `ledger/*.json`, `checkpoints/*.json` and the key that signs these, `export.json`,
        and `chain.py` with its modules. Raises UserError if it is not empty.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError.of(f"{folder} is not an empty folder", "name a new one", path="--to")
        for name in (PREFIX, _CHECKPOINTS, "fleet"):
            (folder / name).mkdir(parents=True)

        def keep(name: str, data: bytes) -> None:
            if _PLAIN_NAME.fullmatch(name):  # a stray can have any name, and be a path that leads elsewhere
                (folder / PREFIX / name).write_bytes(data)

        # An entry that is appended meanwhile may be in it; what is signed meanwhile belongs to the next one.
        signed = self._reading(self._signed)
        report = self._reading(lambda: self._pass(signed.checked, None, tell, keep))
        for file, data in (
            ledger_copy.about_copy(self.bucket, report),
            *ledger_copy.verifier(),
            *ledger_copy.checkpoint_files(signed.files, signed.key),
        ):
            (folder / file).write_bytes(data)
        return report

    def signed_part(self, first: int, last: int) -> Signed:
        """Return the checkpoints of the entries from-to, as they were first written."""
        part = {"after": _checkpoint(first - 1), "before": _checkpoint(last + 1)}

        def read() -> Signed:
            files = self._fetch(self.objects.oldest(_CHECKPOINTS, **part), _CHECKPOINTS)
            key, why = self._public_key() if files else (None, "")
            return Signed(files, key, check(files, key, why=why, after=first - 1))

        return self._reading(read)

    def _public_key(self) -> tuple[bytes | None, str]:
        """Return the public key, or None and why."""
        if not self._key_alias:
            return None, "no key is named"
        try:
            answer = aws.client(self._cloud, "kms", self._region).get_public_key(KeyId=self._key_alias)
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            return None, in_words(error)
        return bytes(answer["PublicKey"]), ""

    def _signed(self) -> Signed:
        """Read every checkpoint and check them among themselves."""
        histories = list(self.objects.histories(_CHECKPOINTS))
        files = self._fetch({each.key: each.oldest for each in histories if each.oldest}, _CHECKPOINTS)
        key, why = self._public_key() if files else (None, "")
        checked = check(files, key, why=why)
        checked.findings += [_finding(each) for each in histories if _is_tampered(each)]
        return Signed(files, key, checked)

    def _pass(
        self,
        checked: Checked,
        head: str | None,
        tell: Callable[[int, int], None],
        keep: Callable[[str, bytes], None],
    ) -> chain.Report:
        """Go through the chain once, held against the checkpoints; `keep` is given every file."""
        passing, total, done = chain.Pass(marks=checked.marks), self.tail()[0], 0
        tampered: list[chain.Finding] = []
        for part in _slices(self.objects.histories(PREFIX)):
            files = self._fetch({each.key: each.oldest for each in part if each.oldest}, PREFIX)
            for name, data in files.items():
                passing.take(name, data)
                keep(name, data)
            tampered += [_finding(each) for each in part if _is_tampered(each)]
            done += len(files)
            tell(done, max(done, total))
        report = passing.report(head)
        return checked.add_to(replace(report, findings=(*report.findings, *tampered)))


def _slices(histories: Iterator[History]) -> Iterator[list[History]]:
    while part := list(islice(histories, _SLICE)):
        yield part


def _checkpoint(sequence: int) -> str:
    return _CHECKPOINTS + chain.entry_name(sequence)


def _is_tampered(each: History) -> bool:
    return each.versions > 1 or each.deleted


def _finding(each: History) -> chain.Finding:
    """Return what somebody has done to an object: an entry by its name, a checkpoint by its folder too."""
    what = "deleted it" if each.deleted else f"wrote over it ({each.versions} versions)"
    return chain.Finding(
        name=each.key.removeprefix(PREFIX),
        kind="missing" if each.deleted else "changed",
        what=f"somebody {what}; the lock keeps the original",
    )
