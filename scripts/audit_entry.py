"""`fleetform audit entry`: one entry of the ledger, whole, as it was first written."""

from __future__ import annotations

import click

from scripts.console_io import emit_json, warn
from scripts.options import cloud_option


@click.command()
@click.argument("number", type=click.IntRange(min=1))
@cloud_option
def entry(number: int, cloud: str | None) -> int:
    """Show the entry with that NUMBER as JSON; exit code 1 where its content does not give its hash."""
    from fleet.chain import entry_hash
    from fleet.session import open_account

    found = open_account(cloud).ledger.get(number)
    emit_json(found)
    if entry_hash(found) == found.get("hash"):
        return 0
    warn("its content does not give its hash")
    return 1
