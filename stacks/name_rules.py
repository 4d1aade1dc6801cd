"""The guardrails on names: what AWS, or another resource of ours, would refuse to be called so."""

from __future__ import annotations

from collections.abc import Iterator

from stacks import naming
from stacks.case import Case, Rule
from stacks.problems import Problem

BUCKET_NAME_MAX = 63
"""S3's limit on the length of a bucket's name."""
SECURITY_GROUP_RESERVED = "sg-"
"""What no security group's name may begin with (EC2's CreateSecurityGroup); their ids do."""
DOCUMENT_RESERVED = ("aws", "amazon", "amzn")
"""What no document's name may begin with (Systems Manager's CreateDocument)."""


def name_is_the_files(case: Case) -> Iterator[Problem]:
    """The file carries the environment's name, so that a command finds it."""
    name, stem = case.spec.name, case.file.stem
    if name != stem:
        yield case.problem(
            "name", f"{name!r} stands in a file named {case.file.name}", f"write `{stem}`, or rename the file"
        )


def name_may_begin_a_security_groups(case: Case) -> Iterator[Problem]:
    """No name of a security group begins with `sg-`, which EC2 keeps for their ids."""
    group = naming.security_group(case.spec.name, naming.SECURITY_GROUP_NODES)
    if group.startswith(SECURITY_GROUP_RESERVED):
        yield case.problem(
            "name",
            f"a security group would be named {group}, and EC2 allows none that begins with sg-",
            "take another name",
        )


def name_may_begin_a_documents(case: Case) -> Iterator[Problem]:
    """The name does not begin with `aws`, `amazon` or `amzn`, which Systems Manager keeps for itself."""
    name = naming.run_document(case.spec.name)
    reserved = next((each for each in DOCUMENT_RESERVED if name.startswith(each)), None)
    if reserved:
        yield case.problem(
            "name",
            f"a document would be named {name}, and Systems Manager allows none that begins with {reserved}",
            "take another name",
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
    name_may_begin_a_security_groups,
    name_may_begin_a_documents,
    no_fleet_is_the_head,
    bucket_name_fits,
)
"""Rules on names, whose findings stop every act that builds."""
