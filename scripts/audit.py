"""`fleetform audit`: read, verify and export the ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, say, table
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.chain import Report


@click.group()
def command() -> None:
    """Read, verify and export the ledger: who did what, to what, and how it ended."""


@command.command()
@click.option("--target", help="Only the acts on this environment or run.")
@click.option("--event", help="Only this event (`environment.up`).")
@click.option("--last", type=click.IntRange(min=1), help="Only the last N that match.")
@json_option
@cloud_option
def log(target: str | None, event: str | None, last: int | None, as_json: bool, cloud: str | None) -> None:
    """List the ledger's entries."""
    from fleet.session import open_account

    entries = [
        entry
        for entry in open_account(cloud).ledger.entries()
        if (target is None or entry["target"] == target) and (event is None or entry["event"] == event)
    ]
    entries = entries[-last:] if last else entries
    if as_json:
        emit_json(entries)
        return
    rows = [
        (entry["sequence"], entry["time"][:19] + "Z", entry["event"], entry["target"], entry["outcome"],
         entry["actor"]["identity"].rpartition(":")[2])
        for entry in entries
    ]  # fmt: skip
    say(table(("no.", "time (UTC)", "event", "target", "outcome", "actor"), rows, right=(0,)))


@command.command()
@click.option("--head", help="SEQUENCE:HASH that the chain must end at, from a place that you trust.")
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="An export, offline."
)
@json_option
@cloud_option
def verify(head: str | None, folder: Path | None, as_json: bool, cloud: str | None) -> int:
    """Check that no entry was changed, taken out, put in or written over; exit code 1 if one was."""
    from fleet.chain import parse_head, verify_folder
    from fleet.session import open_account
    from stacks.problems import UserError

    try:
        head = parse_head(head) if head else None
    except ValueError as error:
        raise UserError.of(str(error), "copy it from `fleetform audit verify`", path="--head") from error
    if folder and not (folder / "ledger").is_dir():
        raise UserError.of(f"{folder} holds no folder ledger/", "name an export's folder", path="--folder")
    report = verify_folder(folder, head=head) if folder else open_account(cloud).ledger.verify(head)
    return _show(report, as_json, say)


@command.command()
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A new folder.")
@cloud_option
def export(folder: Path, cloud: str | None) -> int:
    """Copy the ledger to a folder with the program that verifies it offline."""
    from fleet.session import open_account

    report = open_account(cloud).ledger.export(folder)
    code = _show(report, False, say)
    say(f"wrote {folder}; anyone can check it with: python {folder / 'chain.py'} {folder}")
    return code


def _show(report: Report, as_json: bool, write: Callable[[str], None]) -> int:
    if as_json:
        findings = [{"name": each.name, "kind": each.kind, "what": each.what} for each in report.findings]
        emit_json(
            {"entries": report.entries, "head": report.head, "intact": report.intact, "findings": findings}
        )
    else:
        for finding in report.findings:
            write(str(finding))
        verdict = "intact" if report.intact else f"NOT intact, {len(report.findings)} findings"
        write(f"{report.entries} entries: {verdict}; head {report.head}")
    return 0 if report.intact else 1
