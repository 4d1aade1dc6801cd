"""`fleetform hold`: keep a run that waits from being started."""

from __future__ import annotations

import click

from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@cloud_option
def command(environment: str, run: str, cloud: str | None) -> int:
    """Keep RUN of ENVIRONMENT, which waits, from being started until it is released."""
    from scripts.run_output import act_in_queue

    return act_in_queue(environment, run, "hold", cloud)
