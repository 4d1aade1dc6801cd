"""Whether the checkpoints of a ledger hold: each signed by the one key, none missing between two others.

Standard library alone: this travels with every export.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet import chain, checkpoints
from fleet.chain import Finding, Mark, Report
from fleet.checkpoints import Checkpoint
from fleet.signatures import is_signed, read_public_key


@dataclass
class Checked:
    """What the checkpoints say, as far as they hold."""

    marks: dict[int, Mark] = field(default_factory=dict)
    """What is signed, by the entry's number; a checkpoint whose signature does not hold says nothing."""
    last: str = ""
    """`SEQUENCE:SHA256` of the last one that holds."""
    signed_at: str = ""
    findings: list[Finding] = field(default_factory=list)
    remarks: list[Finding] = field(default_factory=list)

    def add_to(self, report: Report) -> Report:
        """Return the report of a chain that was held against `marks`, with what is said of checkpoints."""
        return Report(
            report.entries,
            report.head,
            (*report.findings, *self.findings),
            (*report.remarks, *self.remarks),
            checkpoints=len(self.marks),
            checkpoint=self.last,
            signed_at=self.signed_at,
        )


def check(files: Mapping[str, bytes], key: bytes | None, *, why: str = "", after: int = 0) -> Checked:
    """Check checkpoints given as file names and their bytes, against the public key in DER.

    Without a key their signatures are not checked, and a remark says `why`; what they say of the chain is
    held against it all the same. Of a part of a chain `after` is the number of the entry before it.
    """
    found = Checked()
    before = ""
    for name in sorted(files):
        before = _check_one(found, name, files[name], key, before, after) or before
    if files and key is None:
        what = f"the signatures of {len(files)} checkpoints were not checked: {why or 'there is no key'}"
        found.remarks.append(Finding(name=checkpoints.FOLDER, kind="unchecked", what=what))
    return found


def _check_one(found: Checked, name: str, data: bytes, key: bytes | None, before: str, after: int) -> str:
    """Check one checkpoint; return it as `SEQUENCE:SHA256`, "" for what is none."""

    def find(kind: str, what: str) -> None:
        found.findings.append(Finding(name=checkpoints.FOLDER + name, kind=kind, what=what))

    try:
        said, signature = checkpoints.read_checkpoint(data)
    except (ValueError, TypeError, KeyError):
        find("changed", "not a checkpoint: its content is broken or incomplete")
        return ""
    if chain.entry_name(said.sequence) != name:
        find("added", f"it says that it is of number {said.sequence}")
        return ""
    if key is not None and (wrong := _wrong_signature(said, signature, key)):
        find("changed", wrong)
        return ""
    if not _follows(said, before, after):
        named, last = said.previous.partition(":")[0] or "none", before.partition(":")[0] or "none"
        find("missing", f"it follows on that of number {named}, and the one before it is of number {last}")
    found.marks[said.sequence] = said.mark
    found.last = f"{said.sequence}:{checkpoints.fingerprint(data)}"
    found.signed_at = said.time
    return found.last


def _wrong_signature(said: Checkpoint, signature: bytes, key: bytes) -> str:
    """Return what is wrong with a signature, "" for nothing."""
    if said.key_sha256 != checkpoints.fingerprint(key):
        return f"it is signed with another key ({said.key_sha256[:16]}...) than the account's"
    try:
        signed = is_signed(read_public_key(key), said.signed_bytes(), signature)
    except ValueError as error:
        return f"the account's key can't be read: {error}"
    return "" if signed else "its signature is not the account's: it was changed or replaced"


def _follows(said: Checkpoint, before: str, after: int) -> bool:
    """Return whether it names the one before it; the first of a part names one that lies before the part."""
    if before or not after:
        return said.previous == before
    number = said.previous.partition(":")[0]
    return number.isdecimal() and int(number) <= after if number else True
