"""`fleetform audit verify`: whether the ledger is whole, held against its signed checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say, warn
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.chain import Report

UNEXPLAINED = 4
"""Exit code of a look that found what somebody has to do something about, as with `drift`."""


@click.command()
@click.option("--head", help="SEQUENCE:HASH that the chain must end at, from a place that you trust.")
@click.option("--key", default="", help="Offline: SHA-256 of the key that must have signed the checkpoints.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="An export, offline."
)
@json_option
@cloud_option
def verify(head: str | None, key: str, folder: Path | None, as_json: bool, cloud: str | None) -> int:
    """Check that no entry was changed, taken out, put in or written over; exit code 1 if one was.

    Exit code 4 where nothing of that was found and the checkpoints' signatures could not be checked. A clock
    that ran back between two entries is told, and breaks nothing.
    """
    from fleet.chain import parse_head
    from fleet.copy_check import verify_folder
    from fleet.session import open_account
    from stacks.problems import UserError

    try:
        head = parse_head(head) if head else None
    except ValueError as error:
        raise UserError.of(str(error), "copy it from `fleetform audit verify`", path="--head") from error
    if folder and not (folder / "ledger").is_dir():
        raise UserError.of(f"{folder} holds no folder ledger/", "name an export's folder", path="--folder")
    if key and not folder:
        warn("--key has no effect without --folder: the key is asked of KMS")
    if folder:
        return show_report(verify_folder(folder, head=head, key_sha256=key.lower()), as_json)
    report = open_account(cloud).ledger.verify(head, _tell)
    live.clear()
    return show_report(report, as_json)


def _tell(done: int, total: int) -> None:
    live.show(f"verifying the ledger: {done} of {total} entries")


def show_report(report: Report, as_json: bool) -> int:
    """Print what a verification of the ledger found; return the exit code."""
    from fleet.copy_check import lines

    if as_json:
        emit_json(
            {
                "entries": report.entries,
                "head": report.head,
                "intact": report.intact,
                "findings": [vars(each) for each in report.findings],
                "remarks": [vars(each) for each in report.remarks],
                "checkpoints": report.checkpoints,
                "checkpoint": report.checkpoint,
                "signed_at": report.signed_at,
            }
        )
    else:
        for line in lines(report):
            say(line)
        verdict = "intact" if report.intact else f"NOT intact, {len(report.findings)} findings"
        say(f"{report.entries} entries: {verdict}; head {report.head}")
    if not report.intact:
        return 1
    unchecked = any(each.kind == "unchecked" for each in report.remarks)
    return UNEXPLAINED if unchecked else 0
