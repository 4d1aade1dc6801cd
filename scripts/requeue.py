"""`fleetform requeue`: stop a run and put it back into the queue."""

from __future__ import annotations

import click

from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@cloud_option
def command(environment: str, run: str, cloud: str | None) -> int:
    """Stop RUN of ENVIRONMENT and put it back into the queue; it goes on from its last checkpoint."""
    from scripts.run_output import act_in_queue

    return act_in_queue(environment, run, "requeue", cloud)
