"""`fleetform check`: list every problem of the environments' files."""

from __future__ import annotations

import click

from scripts.console_io import emit_json, say, warn
from scripts.options import json_option


@click.command()
@click.argument("environments", nargs=-1)
@json_option
def command(environments: tuple[str, ...], as_json: bool) -> int:
    """List every problem of environments/*.toml, or of the named ENVIRONMENTS, all at once.

    Exit code 0 when there is none, 2 otherwise. Nothing is contacted and nothing is changed.
    """
    from dataclasses import asdict

    from fleet.project import find_project
    from stacks.environment import environment_files
    from stacks.guardrails import check_directory
    from stacks.problems import UserError

    project = find_project()
    errors, warnings = check_directory(project.environments, list(environments) or None)
    if as_json:
        emit_json(
            {"errors": [asdict(error) for error in errors], "warnings": [asdict(each) for each in warnings]}
        )
        return 2 if errors else 0
    for warning in warnings:
        warn(str(warning))
    if errors:
        raise UserError(errors)
    names = list(environments) or [file.stem for file in environment_files(project.environments)]
    say(f"no problem in {', '.join(sorted(names)) or 'environments/: it holds no environment yet'}")
    return 0
