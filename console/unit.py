"""A console as a service of systemd's: the unit file for this project, user and Python."""

from __future__ import annotations

import re
import sys

from fleet.identity import os_user
from fleet.project import Project
from stacks.problems import Problem, UserError
from templates.console_unit import ConsoleUnit
from templates.engine import render

_PLAIN = re.compile(r"[A-Za-z0-9_./@+-]+")
"""What means nothing else in a unit file."""


def unit(project: Project, cloud: str | None) -> str:
    """Return the unit file. Raises UserError where a path in it would be read as something else."""
    found = ConsoleUnit(user=os_user(), root=str(project.root), python=sys.executable, cloud=cloud or "")
    named = {"user": found.user, "project": found.root, "Python": found.python, "cloud": found.cloud}
    problems = [
        Problem(what=f"the {what} {value!r} has characters that systemd reads in its own way", do="move it")
        for what, value in named.items()
        if value and not _PLAIN.fullmatch(value)
    ]
    if problems:
        raise UserError(problems)
    return render(found)
