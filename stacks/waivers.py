"""Waivers: failed checks of the policy scan that stand on purpose, each with its reason, owner and review."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from stacks.environment import WAIVERS_FILE
from stacks.fields import Spec, setting
from stacks.problems import Problem, UserError
from stacks.setting_forms import listed
from stacks.spec_file import load_spec, shown

OWN_WAIVERS = Path(__file__).parent / WAIVERS_FILE
"""What the stacks do on purpose; a company's own waivers lie beside its environments' files."""


class Waiver(Spec):
    """One check that may fail at some addresses."""

    check: Annotated[
        str,
        setting(
            "Id of the check",
            unit="",
            change="free",
            form="an id such as `CKV_AWS_144`",
            pattern=r"^CKV2?_[A-Z0-9]+_[0-9]+$",
        ),
    ]
    address: Annotated[
        str,
        setting(
            "Address of the resource in Terraform; `*` stands for any text",
            unit="",
            change="free",
            form="a type and a name such as `aws_s3_bucket.artifacts` or `aws_s3_bucket.*`",
            pattern=r"^(data\.)?[a-z0-9_*]+\.[A-Za-z0-9_*-]+$",
        ),
    ]
    stack: Annotated[
        str,
        setting(
            "Stack that the resource is in; `*` stands for any text",
            unit="",
            change="free",
            form="a stack's name such as `account` or `*-base`",
            pattern=r"^[a-z0-9*-]+$",
        ),
    ] = "*"
    reason: Annotated[
        str,
        setting(
            "Why it is right that the check fails",
            unit="",
            change="free",
            form="a sentence of at least 20 characters",
            pattern=r"^.{20,}$",
        ),
    ]
    when: Annotated[
        str,
        setting(
            "In which environments the check fails, where that depends on their files; such a waiver is not "
            "reported where it waives nothing",
            unit="",
            change="free",
        ),
    ] = ""
    owner: Annotated[str, setting("Who answers for it", unit="", change="free")]
    review: Annotated[
        datetime.date, setting("Day after which somebody looks at it again", unit="date", change="free")
    ]

    def covers(self, check: str, stack: str, address: str) -> bool:
        """Return whether it waives this check there."""
        return self.check == check and self.reaches(stack, address)

    def reaches(self, stack: str, address: str) -> bool:
        """Return whether the resource is one that it is about."""
        return fnmatchcase(stack, self.stack) and fnmatchcase(address, self.address)

    def __str__(self) -> str:
        return f"{self.check} at {self.address} in {self.stack}"


class WaiverFile(Spec):
    """A file of waivers."""

    waiver: Annotated[
        tuple[Waiver, ...],
        BeforeValidator(listed),
        setting("The waivers, each a table `[[waiver]]`", unit="", change="free"),
    ] = ()


def waiver_files(environments_dir: Path) -> list[Path]:
    """Return the files that there are: our own, and the project's where it has one."""
    return [file for file in (OWN_WAIVERS, environments_dir / WAIVERS_FILE) if file.is_file()]


def load_waivers(files: Sequence[Path]) -> list[tuple[str, Waiver]]:
    """Return every waiver with its file, as a message gives that. Raises UserError with every problem."""
    found: list[tuple[str, Waiver]] = []
    problems: list[Problem] = []
    for file in files:
        try:
            found += [(shown(file), waiver) for waiver in load_spec(WaiverFile, file).waiver]
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found
