"""StarterSpec: an environment to begin with, as `environments/starters/<name>.toml` says it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from stacks.catalog import load_catalog
from stacks.fields import Spec, setting
from stacks.problems import Problem, UserError, nearest
from stacks.spec_file import load_spec, shown

STARTERS = "starters"
"""The folder of the starters, among the environments' files."""


class StarterWords(Spec):
    """What people read of a starter in one language."""

    title: Annotated[str, setting("Its name for people", unit="", change="free", min_length=1)]
    text: Annotated[str, setting("What it is good for, in a sentence or two", unit="", change="free")]


class StarterSpec(Spec):
    """The choices that a starter makes for those who begin with it; the rest is as in any new file."""

    instance_type: Annotated[str, setting("EC2 instance type of its nodes", unit="", change="free")]
    nodes: Annotated[int, setting("Nodes that always run", unit="nodes", change="free", ge=0)]
    max_nodes: Annotated[int, setting("Nodes that it may grow to", unit="nodes", change="free", ge=1)]
    lease_days: Annotated[
        int,
        setting("Days until its lease ends, from the day it is declared", unit="days", change="free", ge=1),
    ] = 30
    usd_per_month: Annotated[
        float,
        setting("Its budget; 0 for none", unit="USD per month", change="free", ge=0, allow_inf_nan=False),
    ] = 0
    en: Annotated[StarterWords, setting("In English", unit="", change="free")]
    ko: Annotated[StarterWords, setting("In Korean", unit="", change="free")]


def load_starter(file: Path) -> StarterSpec:
    """Read a starter's file. Raises UserError with every problem that it has."""
    spec = load_spec(StarterSpec, file)
    if problems := list(_problems(spec, shown(file))):
        raise UserError(problems)
    return spec


def _problems(spec: StarterSpec, file: str) -> Iterator[Problem]:
    if spec.instance_type not in load_catalog():
        near = nearest(spec.instance_type, load_catalog())
        do = f"did you mean {near!r}?" if near else "see docs/environment.md for the types that it has"
        what = f"the catalog has no instance type {spec.instance_type!r}"
        yield Problem(what=what, do=do, file=file, path="instance_type")
    if spec.max_nodes < spec.nodes:
        what = f"it would grow to {spec.max_nodes} nodes and begin with {spec.nodes}"
        yield Problem(what=what, do=f"take at least {spec.nodes}", file=file, path="max_nodes")
