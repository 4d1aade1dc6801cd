"""The guardrails on names: what AWS, or another resource of ours, would refuse to be called so."""

from __future__ import annotations

from collections.abc import Iterator

from stacks import naming
from stacks.case import Case, Rule
from stacks.problems import Problem

BUCKET_NAME_MAX = 63
"""S3's limit on the length of a bucket's name."""


def name_is_the_files(case: Case) -> Iterator[Problem]:
    """The file carries the environment's name, so that a command finds it."""
    name, stem = case.spec.name, case.file.stem
    if name != stem:
        yield case.problem(
            "name", f"{name!r} stands in a file named {case.file.name}", f"write `{stem}`, or rename the file"
        )


def bucket_name_fits(case: Case) -> Iterator[Problem]:
    """The artifact bucket's name is within S3's limit."""
    if case.account is None:
        return
    bucket = naming.artifact_bucket(case.account.organization, case.spec.name, case.spec.region)
    if len(bucket) > BUCKET_NAME_MAX:
        yield case.problem(
            "name",
            f"the bucket would be named {bucket}, {len(bucket)} characters where S3 allows {BUCKET_NAME_MAX}",
            f"shorten the name by {len(bucket) - BUCKET_NAME_MAX}",
        )


def no_fleet_is_the_head(case: Case) -> Iterator[Problem]:
    """No fleet is named `head`: its group would be named as the head node's."""
    name = naming.ROLE_HEAD
    if name in case.spec.fleets:
        group = naming.fleet_group(case.spec.name, name)
        yield case.problem(
            f"fleets.{name}",
            f"the fleet's group would be named {group}, as the head node's is",
            "give the fleet another name; the head node itself is the table `[head]`",
        )


NAME_RULES: tuple[Rule, ...] = (
    name_is_the_files,
    no_fleet_is_the_head,
    bucket_name_fits,
)
"""Rules on names, whose findings stop every act that builds."""
