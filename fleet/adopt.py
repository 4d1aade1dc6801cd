"""Taking over what an interrupted apply had made and its state lacks, where its name leads to it.

A terraform that is killed loses what it made since it last wrote its state. The next apply then fails on
everything that has a name ("already exists"). Such a thing is imported when its tags say that it belongs
to this stack, or when it has none yet and a terraform of ours is known to have died here. The parts of a
network are found by their tags and places before that. Other things without a name are left to the sweep.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fleet import aws
from fleet.adopt_finders import find
from fleet.adopt_network import find_in_network
from fleet.cloud import Cloud
from fleet.terraform_events import Diagnostic
from stacks import naming

_EXISTS = re.compile(
    r"already ?exist|AlreadyOwnedByYou|already in use|\.Duplicate|conflicting DNS domain", re.IGNORECASE
)
_SLOWLY_REFUSED = {"aws_lambda_function": "function_name"}
"""Kinds whose creation the provider tries for minutes although there is one, and what names them."""
_NAME = re.compile(r"^[^(]*\(([^)]+)\):")
"""The provider's messages begin `creating IAM Role (the-name): ...`."""


def _name(diagnostic: Diagnostic, kind: str, stack: str) -> str:
    """Return the name of what exists already, "" where nothing tells it."""
    if named := _NAME.match(diagnostic.summary):
        return named[1]
    # Of a shared file system the provider tells no name; an environment has one.
    return naming.shared_files(stack.removesuffix("-base")) if kind == "aws_efs_file_system" else ""


def find_adoptable(
    diagnostics: Iterable[Diagnostic], cloud: Cloud, region: str, stack: str, *, died: bool
) -> list[tuple[str, str]]:
    """Return (address, id) of what the errors say exists already and what is this stack's own.

    `died` tells that a terraform of ours died on this stack, so that a thing without tags may be its work.
    """

    def client(service: str) -> Any:
        return aws.client(cloud, service, region)

    found = []
    for diagnostic in diagnostics:
        kind = diagnostic.address.split(".")[0]
        name = _name(diagnostic, kind, stack)
        if not name or not _EXISTS.search(diagnostic.summary):
            continue
        with _bearing():  # what can't be looked at isn't known to be ours: the provider's error stands
            there = find(client, kind, name, stack)
            if there is not None and _is_own(there[1], stack, died=died):
                found.append((diagnostic.address, there[0]))
    return found


def find_before(
    configuration: Mapping[str, Any], known: Mapping[str, str], cloud: Cloud, region: str, stack: str
) -> list[tuple[str, str]]:
    """Return (address, id) of what a terraform that died here made, as far as no refusal would lead to it.

    `configuration` is the stack's, `known` has the ids of its state by address. What can't be looked at is
    left out: the provider will say what is in the way.
    """

    def client(service: str) -> Any:
        return aws.client(cloud, service, region)

    resources = configuration.get("resource", {})
    found = list[tuple[str, str]]()
    with _bearing():
        found.extend(find_in_network(resources, known, client, stack))  # what it found until then stays
    for kind, by in _SLOWLY_REFUSED.items():
        for key, body in resources.get(kind, {}).items():
            if (address := f"{kind}.{key}") not in known:
                with _bearing():
                    there = find(client, kind, body[by], stack)
                    if there is not None and _is_own(there[1], stack, died=True):
                        found.append((address, there[0]))
    return found


@contextmanager
def _bearing() -> Iterator[None]:
    """Bear with what AWS refuses to tell."""
    try:
        yield
    except Exception as error:
        if not aws.error_code(error):
            raise


def _is_own(tags: Mapping[str, str], stack: str, *, died: bool) -> bool:
    return tags.get(naming.TAG_STACK) == stack or (died and naming.TAG_STACK not in tags)
