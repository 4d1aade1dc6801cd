"""`fleetform init`: write a new environment's commented file."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from scripts.console_io import say


@click.command()
@click.argument("name")
@click.option("--team", required=True, help="The team that the environment belongs to.")
@click.option("--owner", required=True, help="Who answers for it: an e-mail address.")
@click.option("--region", default="us-east-1", show_default=True, help="The AWS region to build in.")
@click.option(
    "--starter",
    metavar="NAME",
    default=None,
    help="Begin as environments/starters/NAME.toml says; the options below change what it says.",
)
@click.option("--instance-type", default=None, help="The GPU nodes' EC2 instance type. [default: g5.xlarge]")
@click.option("--nodes", type=int, default=None, help="How many GPU nodes to start with. [default: 2]")
@click.option("--max-nodes", type=int, default=None, help="How many it may grow to. [default: --nodes]")
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    default=None,
    metavar="USD",
    help="Most that it may cost in a month; runs beyond that are refused. [default: no limit]",
)
@click.option(
    "--organization", default=None, help="Prefix of the account's buckets; for the first environment."
)
@click.option("--cidr", default=None, help="The network's address range. [default: the next free one]")
@click.option("--lease-ends", type=click.DateTime(["%Y-%m-%d"]), help="Last day. [default: in 30 days]")
@click.option(
    "--delete-data", is_flag=True, help="Let a teardown of the base delete runs, models and datasets too."
)
def command(
    name: str,
    team: str,
    owner: str,
    region: str,
    starter: str | None,
    instance_type: str | None,
    nodes: int | None,
    max_nodes: int | None,
    budget: float | None,
    organization: str | None,
    cidr: str | None,
    lease_ends: datetime.datetime | None,
    delete_data: bool,
) -> None:
    """Write environments/NAME.toml with every field explained, ready to edit and commit."""
    from fleet.declare import declare

    begun = _begun(starter)
    asked = {
        "instance_type": instance_type, "nodes": nodes, "max_nodes": max_nodes, "usd_per_month": budget,
        "lease_ends": lease_ends.date() if lease_ends else None,
    }  # fmt: skip
    written = declare(
        Path.cwd(),
        name,
        team=team,
        owner=owner,
        region=region,
        organization=organization,
        cidr=cidr,
        on_teardown="delete" if delete_data else "retain",
        **{**begun, **{key: value for key, value in asked.items() if value is not None}},
    )
    for file in written:
        say(f"wrote {file}")
    say(f"next: fleetform check, then fleetform plan {name}")


def _begun(starter: str | None) -> dict[str, Any]:
    """Return what a new environment begins with, before what the options say."""
    if starter is None:
        return {"instance_type": "g5.xlarge", "nodes": 2}
    from fleet.project import Project
    from fleet.starters import find_starter

    # The first environment of a project makes its folder.
    return find_starter(Project(Path.cwd(), Path.cwd() / ".fleetform"), starter).settings()
