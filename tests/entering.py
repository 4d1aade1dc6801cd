"""People who enter machines of the record's lab: a role that may, and the command line as they type it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from fleet.cloud import Cloud
from fleet.session import Session
from sandbox.shells import terminal
from stacks import naming
from tests.environment_parts import ORGANIZATION, REGION
from tests.iam_helpers import ACCOUNT, allow, assume, make_role, trust
from tests.record_lab import ENVIRONMENT, RecordLab
from tests.spec_files import environment_text, write_folder

OPERATOR = naming.environment_role(ENVIRONMENT, naming.ROLE_OPERATOR, REGION)
_SECONDS = 60
_TERMINAL = Path(terminal.__file__)
"""Makes a terminal a process's own, so that ctrl-C in it is a signal."""


def make_operator(lab: RecordLab) -> None:
    """Make a role of people that may enter, write the record, and look machines up."""
    trusted = trust(actions=["sts:AssumeRole", "sts:SetSourceIdentity"])
    make_role(lab.cloud, OPERATOR, allow(["ssm:*", "s3:*", "ec2:Describe*"]), trusts=trusted)


def as_operator(lab: RecordLab, person: str = "ann") -> Session:
    """Return the environment's session as that person has it."""
    role = f"arn:aws:iam::{ACCOUNT}:role/{OPERATOR}"
    return replace(lab.session, cloud=assume(lab.cloud, role, person, SourceIdentity=person))


def make_project(lab: RecordLab) -> None:
    """Write the environment's files, so that the command finds them."""
    text = f'organization = "{ORGANIZATION}"\nregion = "{REGION}"\n'
    write_folder(lab.session.project.root, text, **{ENVIRONMENT: environment_text(ENVIRONMENT)})


def name_cloud(lab: RecordLab, name: str, cloud: Cloud) -> str:
    """Make a cloud known to the project under that name, and return it."""
    file = lab.session.project.home / "clouds" / f"{name}.json"
    file.write_text(json.dumps(dict(cloud.variables)), encoding="utf-8")
    return name


class TypedStay:
    """`fleetform enter` in a terminal of its own."""

    def __init__(self, lab: RecordLab, *words: str) -> None:
        self._terminal, inside = os.openpty()
        self.said = b""
        home = {"FLEETFORM_HOME": str(lab.session.project.home), "PYTHONPATH": str(Path(__file__).parents[1])}
        with os.fdopen(inside, "r+b", buffering=0) as end:
            self.process = subprocess.Popen(
                [sys.executable, _TERMINAL, sys.executable, "-P", "-m", "scripts.cli", "enter", *words],
                stdin=end,
                stdout=end,
                stderr=end,
                cwd=lab.session.project.root,
                env={**os.environ, **home},
                start_new_session=True,
            )

    def type(self, text: str) -> None:
        """Type, as a person does."""
        os.write(self._terminal, text.encode())

    def until(self, text: str) -> None:
        """Wait until the terminal shows that."""
        deadline = time.monotonic() + _SECONDS
        while text.encode() not in self.said:
            assert time.monotonic() < deadline, f"no {text!r} in {self.said!r}"
            if select.select([self._terminal], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self._terminal, 4096)
                except OSError:  # everybody has left the terminal
                    assert text.encode() in self.said, f"no {text!r} in {self.said!r}"

    def end(self) -> int:
        """Wait for the command's end and return its exit code."""
        code = self.process.wait(_SECONDS)
        os.close(self._terminal)
        return code
