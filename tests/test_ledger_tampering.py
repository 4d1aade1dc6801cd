"""Tampering with a copy of the ledger, of every kind: the program that travels along says where."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import chain, checkpoints
from fleet.checkpoints import Checkpoint, read_checkpoint
from tests.ledger_parts import BEGAN, MINUTE, Signer, entry_after, files_of, make_entries, write_copy

ENTRIES = make_entries(12)
SIGNED = (4, 8, 11)
OURS, THEIRS = Signer(), Signer()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A sound copy of twelve entries with three checkpoints."""
    return write_copy(tmp_path / "copy", files_of(ENTRIES), OURS.checkpoints(ENTRIES, SIGNED), OURS.public)


def entry(copy: Path, number: int) -> Path:
    return copy / "ledger" / chain.entry_name(number)


def checkpoint(copy: Path, number: int) -> Path:
    return copy / "checkpoints" / chain.entry_name(number)


def put(copy: Path, *entries: dict[str, Any]) -> None:
    for name, data in files_of(entries).items():
        (copy / "ledger" / name).write_bytes(data)


def rewritten(first: int, **changes: Any) -> list[dict[str, Any]]:
    """Return the chain with one entry changed and all after it linked and hashed anew: a careful forger's."""
    made = ENTRIES[: first - 1]
    for old in ENTRIES[first - 1 :]:
        content = {key: value for key, value in old.items() if key not in ("sequence", "prev_hash", "hash")}
        made = [*made, entry_after(made[-1] if made else None, **{**content, **changes})]
        changes = {}
    return made


def forget_end(copy: Path) -> None:
    """Take away what an export says of its own end, as whoever makes the copy up would."""
    (copy / "export.json").unlink()


def change_a_byte(copy: Path) -> None:
    entry(copy, 5).write_bytes(entry(copy, 5).read_bytes().replace(b"vision", b"vjsion"))


def change_and_hash_anew(copy: Path) -> None:
    content = {**ENTRIES[4], "target": "speech"}
    put(copy, {**content, "hash": chain.entry_hash(content)})


def take_one_out(copy: Path) -> None:
    entry(copy, 6).unlink()


def take_one_out_and_close_up(copy: Path) -> None:
    """Renumber all that follow, linked anew."""
    made = ENTRIES[:5]
    for old in ENTRIES[6:]:
        content = {key: value for key, value in old.items() if key not in ("sequence", "prev_hash", "hash")}
        made = [*made, entry_after(made[-1], **content)]
    put(copy, *made)
    entry(copy, 12).unlink()
    forget_end(copy)


def swap_two(copy: Path) -> None:
    put(copy, {**ENTRIES[6], "sequence": 6}, {**ENTRIES[5], "sequence": 7})


def insert_one(copy: Path) -> None:
    """Put one in between and move all after it up by one, linked anew."""
    made = [*ENTRIES[:6], entry_after(ENTRIES[5], target="inserted")]
    for old in ENTRIES[6:]:
        content = {key: value for key, value in old.items() if key not in ("sequence", "prev_hash", "hash")}
        made = [*made, entry_after(made[-1], **content)]
    put(copy, *made)
    forget_end(copy)


def renumber(copy: Path) -> None:
    content = {**ENTRIES[8], "sequence": 10}
    put(copy, {**content, "hash": chain.entry_hash(content)})


def double_one(copy: Path) -> None:
    entry(copy, 13).write_bytes(entry(copy, 12).read_bytes())


def cut_the_end_off(copy: Path) -> None:
    for number in (9, 10, 11, 12):
        entry(copy, number).unlink()
    forget_end(copy)


def fork(copy: Path) -> None:
    """Rewrite the chain from an entry on, each linked and hashed as it should be."""
    put(copy, *rewritten(6, target="speech"))
    forget_end(copy)


def fork_after_the_last_checkpoint_of_the_copys_end(copy: Path) -> None:
    put(copy, *rewritten(12, target="speech"))


def sign_with_another_key(copy: Path) -> None:
    made = rewritten(6, target="speech")
    put(copy, *made)
    for name, data in THEIRS.checkpoints(made, SIGNED).items():
        (copy / "checkpoints" / name).write_bytes(data)
    forget_end(copy)


def replace_a_checkpoint(copy: Path) -> None:
    said, signature = read_checkpoint(checkpoint(copy, 8).read_bytes())
    forged = replace(said, head=chain.format_head(8, rewritten(6, target="speech")[7]["hash"]))
    checkpoint(copy, 8).write_bytes(forged.to_file(signature))


def take_a_checkpoint_out(copy: Path) -> None:
    checkpoint(copy, 8).unlink()


def renumber_a_checkpoint(copy: Path) -> None:
    checkpoint(copy, 8).rename(checkpoint(copy, 9))


def break_a_checkpoint(copy: Path) -> None:
    checkpoint(copy, 11).write_bytes(b"{}")


def add_a_stray(copy: Path) -> None:
    (copy / "ledger" / "note.txt").write_text("nothing")


def add_one_far_beyond(copy: Path) -> None:
    put(copy, {**ENTRIES[11], "sequence": 999_999_999_999})


TAMPERING: dict[Callable[[Path], None], tuple[str, str]] = {
    change_a_byte: ("000000000005.json", "changed"),
    change_and_hash_anew: ("000000000006.json", "changed"),
    take_one_out: ("000000000006.json", "missing"),
    take_one_out_and_close_up: ("000000000008.json", "changed"),
    swap_two: ("000000000006.json", "changed"),
    insert_one: ("000000000008.json", "changed"),
    renumber: ("000000000010.json", "changed"),
    double_one: ("000000000013.json", "added"),
    cut_the_end_off: ("000000000011.json", "missing"),
    fork: ("000000000008.json", "changed"),
    fork_after_the_last_checkpoint_of_the_copys_end: ("000000000012.json", "changed"),
    sign_with_another_key: ("checkpoints/000000000004.json", "changed"),
    replace_a_checkpoint: ("checkpoints/000000000008.json", "changed"),
    take_a_checkpoint_out: ("checkpoints/000000000011.json", "missing"),
    renumber_a_checkpoint: ("checkpoints/000000000009.json", "added"),
    break_a_checkpoint: ("checkpoints/000000000011.json", "changed"),
    add_a_stray: ("note.txt", "added"),
    add_one_far_beyond: ("000000000013.json", "missing"),
}
"""Each way to tamper, and the first finding's place and kind that it must lead to."""


def verify(copy: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the copy's own program, isolated from every installed package."""
    command = [sys.executable, "-I", "-S", "chain.py", ".", *options]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)


def test_a_sound_copy_is_intact_and_tells_the_digest_of_its_last_checkpoint(copy: Path) -> None:
    answer = verify(copy, "--key", checkpoints.fingerprint(OURS.public))
    digest = checkpoints.fingerprint(checkpoint(copy, 11).read_bytes())
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"last checkpoint 11:{digest}, signed {(BEGAN + 11 * MINUTE).isoformat()}" in answer.stdout
    assert "of 3 that the chain was held against" in answer.stdout
    assert answer.stdout.endswith(": intact\n")
    assert not list(copy.rglob("__pycache__")), "the program leaves nothing in the evidence"


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda each: each.__name__)
def test_tampering_is_found_and_its_place_is_named(copy: Path, tamper: Callable[[Path], None]) -> None:
    tamper(copy)
    answer = verify(copy)
    name, kind = TAMPERING[tamper]
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"\n{name}: {kind}: " in f"\n{answer.stdout}"


def test_a_copy_that_was_made_up_as_a_whole_is_told_by_the_key_that_one_knows(copy: Path) -> None:
    sign_with_another_key(copy)
    (copy / checkpoints.KEY_FILE).write_bytes(THEIRS.public)
    assert verify(copy).returncode == 0, "it is consistent in itself"
    answer = verify(copy, "--key", checkpoints.fingerprint(OURS.public))
    assert answer.returncode == 1
    assert f"{checkpoints.KEY_FILE}: changed: " in answer.stdout


def take_all_checkpoints_out(copy: Path) -> None:
    """Take away what a chain that was rewritten as a whole would be held against."""
    for number in SIGNED:
        checkpoint(copy, number).unlink()


def test_a_copy_without_any_checkpoint_is_not_what_was_written_and_bears_nothing_out_by_a_key(
    copy: Path,
) -> None:
    take_all_checkpoints_out(copy)
    answer = verify(copy)
    assert answer.returncode == 1
    assert "checkpoints/: missing: the copy was made with 11:" in answer.stdout
    fork(copy)
    assert verify(copy).returncode == 0, "it is consistent in itself"
    answer = verify(copy, "--key", checkpoints.fingerprint(OURS.public))
    assert answer.returncode == 1
    assert "checkpoints/: missing: there is no checkpoint that the named key has signed" in answer.stdout


def test_a_clock_that_was_set_back_is_told_and_breaks_nothing(tmp_path: Path) -> None:
    made = make_entries(3)
    made.append(entry_after(made[-1], time=BEGAN.isoformat()))
    made.append(entry_after(made[-1], time=(BEGAN - 60 * MINUTE).isoformat()))
    answer = verify(write_copy(tmp_path / "copy", files_of(made), {}, None))
    assert answer.returncode == 0
    assert "to explain: 000000000005.json: clock: it says a time 3600 s before" in answer.stdout
    assert "000000000004.json: clock" not in answer.stdout, "three minutes are within what clocks differ"
    assert "no signed checkpoint" in answer.stdout


def test_without_the_key_the_chain_is_still_held_against_the_checkpoints(copy: Path) -> None:
    (copy / checkpoints.KEY_FILE).unlink()
    answer = verify(copy)
    assert answer.returncode == 0
    assert (
        "to explain: checkpoints/: unchecked: the signatures of 3 checkpoints were not checked"
        in answer.stdout
    )
    fork(copy)
    assert verify(copy).returncode == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: {**said, "format": "another"},
        lambda said: {key: value for key, value in said.items() if key != "time"},
        lambda said: {**said, "more": "x"},
        lambda said: {**said, "head": "1:2"},
        lambda said: {**said, "time": 5},
        lambda said: {**said, "signature": "%%%"},
        lambda said: [said],
    ],
)
def test_what_is_no_checkpoint_is_refused(spoil: Callable[[dict[str, Any]], object]) -> None:
    said = Checkpoint(head=chain.START, time="2026-11-01", previous="", key_sha256="")
    good = said.to_file(b"signature")
    assert read_checkpoint(good) == (said, b"signature")
    with pytest.raises(ValueError):
        read_checkpoint(json.dumps(spoil(json.loads(good))).encode())
