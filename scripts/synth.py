"""`fleetform synth`: write the Terraform JSON of an environment."""

from __future__ import annotations

from pathlib import Path

import click

from scripts.console_io import say
from scripts.options import cloud_option, environment_argument


@click.command()
@environment_argument
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@cloud_option
def command(environment: str, out: Path | None, cloud: str | None) -> None:
    """Write the stacks of ENVIRONMENT as Terraform JSON and print where they lie. Contacts no cloud."""
    from fleet.session import open_session
    from fleet.synth import stack_folder, synthesize
    from stacks import naming

    session = open_session(environment, cloud, checked=True)
    folder = synthesize(session, out)
    for stack in (naming.ACCOUNT_STACK, *naming.environment_stacks(environment)):
        say(str(stack_folder(folder, stack) / "cdk.tf.json"))
