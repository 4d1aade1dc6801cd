"""`fleetform release`: let a held run be started again."""

from __future__ import annotations

import click

from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.argument("run")
@cloud_option
def command(environment: str, run: str, cloud: str | None) -> int:
    """Let RUN of ENVIRONMENT, which was held, be started again."""
    from scripts.run_output import act_in_queue

    return act_in_queue(environment, run, "release", cloud)
