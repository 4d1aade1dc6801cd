"""`fleetform audit export` and `audit pack`: the ledger to take away, or all on record of a period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from scripts.audit_verify import show_report
from scripts.console_io import emit_json, say, warn
from scripts.options import cloud_option, json_option

_DAYS = 31
_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command()
@click.option("--to", "folder", required=True, type=click.Path(path_type=Path), help="A new folder.")
@cloud_option
def export(folder: Path, cloud: str | None) -> int:
    """Copy the ledger to a folder with the program that verifies it offline."""
    from fleet.evidence import require_export
    from fleet.session import open_account

    account = open_account(cloud)
    require_export(account)
    code = show_report(account.ledger.export(folder), as_json=False)
    say(f"wrote {folder}; anyone can check it with: python {folder / 'chain.py'} {folder}")
    return code


@click.command()
@click.argument("environment", required=False)
@click.option("--to", "file", required=True, type=click.Path(path_type=Path), help="A new file, .zip.")
@click.option("--since", type=_MOMENT, help=f"Begin, in UTC. [default: {_DAYS} days before the end]")
@click.option("--until", type=_MOMENT, help="End, in UTC. [default: now]")
@json_option
@cloud_option
def pack(
    environment: str | None,
    file: Path,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Write an evidence pack of ENVIRONMENT, or of all of them: a slice of the ledger and what verifies it,
    who entered which machine, refusals, receipts, costs, and the controls that each is evidence towards.

    Exit code 1 where the slice of the ledger is not sound.
    """
    from dataclasses import asdict

    from fleet.evidence import write_pack
    from fleet.session import open_account, open_session
    from stacks.environment import environment_files

    account = open_account(cloud)
    names = [environment] if environment else [
        each.stem for each in environment_files(account.project.environments)
    ]  # fmt: skip
    sessions = [open_session(name, cloud) for name in names]
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    begin = since.replace(tzinfo=UTC) if since else end - timedelta(days=_DAYS)
    done = write_pack(account, sessions, (begin, end), file, name=environment or "")
    if as_json:
        emit_json({**asdict(done), "file": str(done.file)})
    else:
        for trouble in done.troubles:
            warn(trouble)
        say(f"wrote {done.file}: {done.entries} entries, head {done.head}")
        say(f"its SHA-256 {done.sha256} is on record")
        say("anyone can check it: unpack it, and run in its folder: python chain.py .")
    return 1 if any(each.key == "ledger" and each.trouble for each in done.found) else 0
