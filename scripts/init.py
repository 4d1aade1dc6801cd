"""`fleetform init`: write a new environment's commented file."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from scripts.console_io import say


@click.command()
@click.argument("name")
@click.option("--team", required=True, help="The team that the environment belongs to.")
@click.option("--owner", required=True, help="Who answers for it: an e-mail address.")
@click.option("--region", default="us-east-1", show_default=True, help="The AWS region to build in.")
@click.option(
    "--instance-type", default="g5.xlarge", show_default=True, help="The GPU nodes' EC2 instance type."
)
@click.option("--nodes", default=2, show_default=True, help="How many GPU nodes to start with.")
@click.option("--max-nodes", type=int, default=None, help="How many it may grow to. [default: --nodes]")
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
    instance_type: str,
    nodes: int,
    max_nodes: int | None,
    organization: str | None,
    cidr: str | None,
    lease_ends: datetime.datetime | None,
    delete_data: bool,
) -> None:
    """Write environments/NAME.toml with every field explained, ready to edit and commit."""
    from fleet.declare import declare

    written = declare(
        Path.cwd(),
        name,
        team=team,
        owner=owner,
        region=region,
        instance_type=instance_type,
        nodes=nodes,
        max_nodes=max_nodes,
        organization=organization,
        cidr=cidr,
        lease_ends=lease_ends.date() if lease_ends else None,
        on_teardown="delete" if delete_data else "retain",
    )
    for file in written:
        say(f"wrote {file}")
    say(f"next: fleetform check, then fleetform plan {name}")
