"""The hash chain: what verification finds, and that an auditor needs nothing but Python for it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import chain
from fleet.copy_check import SUMS_FILE
from fleet.ledger_copy import verifier


def make_chain(length: int) -> dict[str, bytes]:
    """Return a sound chain of that many entries."""
    files: dict[str, bytes] = {}
    previous = chain.GENESIS
    for sequence in range(1, length + 1):
        entry = {"sequence": sequence, "event": "environment.up", "target": "vision", "prev_hash": previous}
        previous = chain.entry_hash(entry)
        files[chain.entry_name(sequence)] = json.dumps({**entry, "hash": previous}).encode()
    return files


def edited(data: bytes, **changes: object) -> bytes:
    """Return the entry with changes and a hash that fits them: the careful forger's edit."""
    entry = {**json.loads(data), **changes}
    return json.dumps({**entry, "hash": chain.entry_hash(entry)}).encode()


def test_a_sound_chain_is_intact_and_names_its_head() -> None:
    files = make_chain(5)
    report = chain.verify(files)
    assert report.intact
    assert report.head == f"5:{json.loads(files['000000000005.json'])['hash']}"


def test_no_entries_are_an_intact_chain() -> None:
    assert chain.verify({}).intact


def test_a_changed_word_is_found_in_the_entry_that_it_stands_in() -> None:
    files = make_chain(5)
    files["000000000003.json"] = files["000000000003.json"].replace(b"vision", b"speech")
    assert next((each.name, each.kind) for each in chain.verify(files).findings) == (
        "000000000003.json",
        "changed",
    )


def test_a_forged_entry_with_a_fitting_hash_breaks_the_link_of_the_next() -> None:
    files = make_chain(5)
    files["000000000003.json"] = edited(files["000000000003.json"], target="speech")
    assert [(each.name, each.what) for each in chain.verify(files).findings] == [
        ("000000000004.json", "it is not linked to the entry before it")
    ]


def test_a_missing_entry_is_found() -> None:
    files = make_chain(5)
    del files["000000000002.json"]
    assert [(each.name, each.kind) for each in chain.verify(files).findings] == [
        ("000000000002.json", "missing")
    ]


def test_a_missing_first_entry_is_found() -> None:
    files = make_chain(3)
    del files["000000000001.json"]
    assert [each.kind for each in chain.verify(files).findings] == ["missing"]


def test_a_chain_that_was_cut_off_is_found_by_its_head() -> None:
    files = make_chain(5)
    head = chain.verify(files).head
    del files["000000000005.json"]
    assert [each.kind for each in chain.verify(files, head=head).findings] == ["missing"]


def test_an_entry_added_at_the_end_is_found_by_the_head() -> None:
    head = chain.verify(make_chain(5)).head
    assert [each.kind for each in chain.verify(make_chain(6), head=head).findings] == ["added"]


def test_a_chain_rewritten_as_a_whole_is_found_by_the_head() -> None:
    files = make_chain(2)
    head = chain.verify(files).head
    files["000000000002.json"] = edited(files["000000000002.json"], target="speech")
    assert [each.kind for each in chain.verify(files, head=head).findings] == ["changed"]


def test_a_copied_entry_under_a_new_number_is_found() -> None:
    files = make_chain(3)
    files["000000000004.json"] = files["000000000003.json"]
    assert "added" in {each.kind for each in chain.verify(files).findings}


@pytest.mark.parametrize("name", ["notes.txt", "000000000001 (copy).json", "1.json"])
def test_a_stray_file_is_found(name: str) -> None:
    assert [(each.name, each.kind) for each in chain.verify({**make_chain(2), name: b""}).findings] == [
        (name, "added")
    ]


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"sequence": 2}', b"\xff\xfe"])
def test_an_entry_that_is_no_entry_is_a_finding_and_not_a_crash(data: bytes) -> None:
    files = make_chain(3)
    files["000000000002.json"] = data
    assert ("000000000002.json", "changed") in [
        (each.name, each.kind) for each in chain.verify(files).findings
    ]


def write_export(folder: Path, files: dict[str, bytes]) -> None:
    """Write an export the way that Ledger.export does."""
    for part in ("ledger", "fleet"):
        (folder / part).mkdir(parents=True)
    for name, data in files.items():
        (folder / "ledger" / name).write_bytes(data)
    head = chain.verify(files).head
    (folder / "export.json").write_text(json.dumps({"first": 1, "last": len(files), "head": head}))
    for name, data in verifier():
        (folder / name).write_bytes(data)


def run_exported_verifier(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the export's own chain.py isolated from every installed package."""
    command = [sys.executable, "-I", "-S", str(folder / "chain.py"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_an_export_verifies_itself_with_the_standard_library_alone(tmp_path: Path) -> None:
    write_export(tmp_path / "export", make_chain(4))
    result = run_exported_verifier(tmp_path / "export")
    assert (result.returncode, result.stdout.split(":")[-1].strip()) == (0, "intact")


def test_the_exported_verifier_fails_on_a_truncated_copy(tmp_path: Path) -> None:
    write_export(tmp_path / "export", make_chain(4))
    (tmp_path / "export/ledger/000000000004.json").unlink()
    result = run_exported_verifier(tmp_path / "export")
    assert result.returncode == 1
    assert "missing" in result.stdout


@pytest.mark.parametrize("text", ["", "abc", "4:", ":0", "4:" + "g" * 64, "x:" + "0" * 64])
def test_a_head_that_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a head"):
        chain.parse_head(text)


def test_the_exported_verifier_takes_a_head_from_elsewhere(tmp_path: Path) -> None:
    write_export(tmp_path / "export", make_chain(4))
    assert run_exported_verifier(tmp_path / "export", "--head", "4:" + "0" * 64).returncode == 1


# ------------------------------------------------------------------------------ parts of a chain


def part_of(files: dict[str, bytes], first: int) -> tuple[dict[str, bytes], str]:
    """Return the entries from a number on, and the head before them."""
    head = f"{first - 1}:{json.loads(files[chain.entry_name(first - 1)])['hash']}"
    return {name: data for name, data in files.items() if int(name[:12]) >= first}, head


def test_a_part_is_sound_by_the_head_before_it() -> None:
    files = make_chain(6)
    part, after = part_of(files, 4)
    report = chain.verify(part, after=after)
    assert report.intact and report.entries == 3
    assert report.head == chain.verify(files).head
    assert not chain.verify(part).intact, "without it the entries before are missing"


def test_a_part_after_another_head_is_found() -> None:
    part, _ = part_of(make_chain(6), 4)
    findings = chain.verify(part, after="3:" + "0" * 64).findings
    assert [(each.name, each.what) for each in findings] == [
        (chain.entry_name(4), "it is not linked to the entry before it")
    ]


def test_what_lies_before_a_part_does_not_belong_to_it() -> None:
    files = make_chain(6)
    _, after = part_of(files, 4)
    assert [each.kind for each in chain.verify(files, after=after).findings] == ["added"] * 3


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda folder: (folder / "costs.csv").write_text("none"), "changed"),
        (lambda folder: (folder / "costs.csv").unlink(), "missing"),
        (lambda folder: (folder / "more.csv").write_text("x"), "added"),
    ],
)
def test_the_exported_verifier_holds_every_other_file_against_the_sums(
    tmp_path: Path, spoil: Callable[[Path], object], kind: str
) -> None:
    folder = tmp_path / "export"
    write_export(folder, make_chain(2))
    (folder / "costs.csv").write_text("a,b\n")
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder).as_posix()}\n"
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]
    (folder / SUMS_FILE).write_text("".join(lines))
    assert run_exported_verifier(folder).returncode == 0
    spoil(folder)
    result = run_exported_verifier(folder)
    assert result.returncode == 1 and f": {kind}: " in result.stdout
