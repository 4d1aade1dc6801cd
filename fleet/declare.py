"""Declares an environment: writes its commented TOML file, and the account's where there is none."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from stacks.account import ACCOUNT_FILE, AccountSpec
from stacks.environment import EnvironmentSpec
from stacks.fields import FieldDoc, Spec, field_doc, nested_spec, toml_literal
from stacks.guardrails import check_new, read_folder
from stacks.problems import Problem, UserError
from templates.engine import render
from templates.environment_file import Line, SpecFile, Table

LEASE_DAYS = 30
"""How long an environment may stand where nobody says."""
FLEET = "gpu"
"""Name of the one fleet that a new file declares."""
COMMENT_WIDTH = 100
COMMENTED_OUT = "A line that begins with `#` and a setting is a default; take the `#` off to set it."
FIRST_NETWORK = 20
"""Networks are dealt out from 10.20.0.0/16 upwards: below lie the ranges that offices often use."""
OPTIONS = {
    "name": "NAME",
    "team": "--team",
    "owner": "--owner",
    "region": "--region",
    "lease_ends": "--lease-ends",
    "network.cidr": "--cidr",
    f"fleets.{FLEET}.instance_type": "--instance-type",
    f"fleets.{FLEET}.nodes": "--nodes",
    f"fleets.{FLEET}.max_nodes": "--max-nodes",
    "artifacts.on_teardown": "--delete-data",
    "datasets.on_teardown": "--delete-data",
    "budget.usd_per_month": "--budget",
}
"""Setting -> the option that it was given by: the file that a message would name is not written yet."""


def declare(
    project_root: Path,
    name: str,
    *,
    team: str,
    owner: str,
    region: str,
    instance_type: str,
    nodes: int,
    cidr: str | None = None,
    lease_ends: datetime.date | None = None,
    on_teardown: str = "retain",
    max_nodes: int | None = None,
    organization: str | None = None,
    usd_per_month: float = 0,
    write: bool = True,
) -> list[Path]:
    """Write `environments/<name>.toml`, and `account.toml` where it is missing; return the files written.

    Without `cidr`, a network is chosen that overlaps no other environment's; without `lease_ends`, the lease
    is 30 days; without `max_nodes`, the fleet does not grow; without `organization`, the account is named
    after the project's folder; without `usd_per_month`, there is no budget; without `write`, no file.

    Raises UserError, with nothing written, where the file exists or what was asked for would not pass
    `fleetform check`.
    """
    given: dict[str, object] = {
        "name": name,
        "team": team,
        "owner": owner,
        "region": region,
        "lease_ends": lease_ends or _usual_end(),
        "network.cidr": cidr or str(free_network(project_root / "environments")),
        f"fleets.{FLEET}.instance_type": instance_type,
        f"fleets.{FLEET}.nodes": nodes,
        f"fleets.{FLEET}.max_nodes": max(nodes, 1) if max_nodes is None else max_nodes,
        **dict.fromkeys(("artifacts.on_teardown", "datasets.on_teardown"), on_teardown),
        **({"budget.usd_per_month": _plain(usd_per_month)} if usd_per_month else {}),
    }
    return _write_declared(project_root, name, given, region, organization, write=write)


def _write_declared(
    project_root: Path,
    name: str,
    given: Mapping[str, object],
    region: str,
    organization: str | None,
    *,
    write: bool,
) -> list[Path]:
    """Write the files of these settings, all of them or, where they would not pass, none."""
    directory = project_root / "environments"
    account = None
    if not (directory / ACCOUNT_FILE).exists():
        account = {"organization": organization or organization_of(project_root), "region": region}
    problems = check_new(directory, name, _nested(given), account)
    if problems:
        raise UserError([_by_option(problem) for problem in problems])
    if not write:
        return []
    texts = {directory / ACCOUNT_FILE: _account_text(account)} if account else {}
    texts[directory / f"{name}.toml"] = _environment_text(name, given)
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in texts.items():
        _create(file, text)
    return list(texts)


def free_network(directory: Path) -> IPv4Network:
    """Return the first /16 from 10.20.0.0 upwards that overlaps no environment declared in the folder."""
    taken = [spec.network.cidr for spec in read_folder(directory).specs.values()]
    blocks = (IPv4Network(f"10.{second}.0.0/16") for second in range(FIRST_NETWORK, 256))
    for block in blocks:
        if not any(block.overlaps(other) for other in taken):
            return block
    raise UserError.of("no /16 of 10.0.0.0/8 is free", "name a smaller block", path="--cidr")


def _environment_text(name: str, given: Mapping[str, object]) -> str:
    intro = (
        f"The environment {name}: what the team asks for. `fleetform check` finds its mistakes,",
        f"`fleetform plan {name}` shows what it would build, `fleetform up {name}` builds it.",
        COMMENTED_OUT,
    )
    return render(SpecFile(intro=intro, tables=tuple(spec_tables(EnvironmentSpec, given))))


def _account_text(given: Mapping[str, object]) -> str:
    intro = (
        "What all environments of a company share: `fleetform up` builds it once, no teardown reaches it.",
        COMMENTED_OUT,
    )
    return render(SpecFile(intro=intro, tables=tuple(spec_tables(AccountSpec, given))))


def _usual_end() -> datetime.date:
    """Return the last day of a lease of which nobody says how long it is."""
    return datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=LEASE_DAYS)


def _plain(amount: float) -> float:
    """Return a whole amount without its `.0`, as people write it."""
    return int(amount) if amount == int(amount) else amount


def _nested(given: Mapping[str, object]) -> dict[str, Any]:
    """Return settings by dotted path as the tables that a TOML file of them would hold."""
    tables: dict[str, Any] = {}
    for path, value in given.items():
        *names, key = path.split(".")
        table = tables
        for name in names:
            table = table.setdefault(name, {})
        table[key] = value
    return tables


def organization_of(project_root: Path) -> str:
    """Return the folder's name as an organization, or one to be replaced where it makes none."""
    slug = (
        re.sub(r"[^a-z0-9]+", "-", project_root.resolve().name.lower()).strip("-0123456789")[:20].strip("-")
    )
    return slug if len(slug) >= 3 else "my-company"


def spec_tables(
    model: type[Spec], given: Mapping[str, object], name: str = "", doc: FieldDoc | None = None
) -> Iterable[Table]:
    """Return the tables of a file that declares `given` (by dotted path), outer tables before inner ones."""
    prefix = f"{name}." if name else ""
    fields = [(key, info, field_doc(info, f"{prefix}{key}")) for key, info in model.model_fields.items()]
    lines = tuple(_line(found, given) for _, _, found in fields if not found.table)
    yield Table(name=name, comments=_wrapped(f"{doc.doc}.") if doc else (), lines=lines)
    for key, info, found in fields:
        nested, by_name = nested_spec(info)
        if nested is None:
            continue
        here = f"{prefix}{key}"
        chosen = dict.fromkeys(
            path[len(here) + 1 :].split(".")[0] for path in given if path.startswith(f"{here}.")
        )
        if by_name and not chosen:
            yield _example(nested, found, given)
        for table in [f"{here}.{each}" for each in chosen] if by_name else [here]:
            yield from spec_tables(nested, given, table, found)


def _example(nested: type[Spec], doc: FieldDoc, given: Mapping[str, object]) -> Table:
    """Return a table by a name of the user's choice, of which there is none yet, as comments alone."""
    comments = [*_wrapped(f"{doc.doc}."), f"[{doc.path}.NAME]"]
    for key, info in nested.model_fields.items():
        line = _line(field_doc(info, f"{doc.path}.NAME.{key}"), given, required=False)
        comments += [*line.comments, f"{line.key} = {line.value}"]
    return Table(name="", comments=tuple(comments), lines=())


def _line(doc: FieldDoc, given: Mapping[str, object], *, required: bool = True) -> Line:
    assert doc.path in given or not (required and doc.required), f"{doc.path} has no value and no default"
    choices = " or ".join(toml_literal(choice) for choice in doc.choices)
    form = f" Write {doc.form or choices}." if doc.form or choices else ""
    unit = f" ({doc.unit})" if doc.unit else ""
    change = f" Changing it: {doc.change}{f', {doc.why}' if doc.why else ''}."
    return Line(
        comments=_wrapped(f"{doc.doc}{unit}.{form}{change}"),
        key=doc.path.rpartition(".")[2],
        value="..." if doc.required and not required else toml_literal(given.get(doc.path, doc.default)),
        active=doc.path in given,
    )


def _wrapped(text: str) -> tuple[str, ...]:
    return tuple(textwrap.wrap(text, COMMENT_WIDTH))


def _by_option(problem: Problem) -> Problem:
    option = OPTIONS.get(problem.path)
    return replace(problem, file="", path=option) if option else problem


def _create(file: Path, text: str) -> None:
    """Write a new file whole or not at all. Raises UserError where somebody else has just made it."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        # Unlike a rename, a link never replaces a file that appeared meanwhile.
        os.link(temporary, file)
    except FileExistsError as error:
        raise UserError.of("the file exists", "edit it, or take another name", file=str(file)) from error
    finally:
        Path(temporary).unlink()
