"""`fleetform check`: list every problem of the environments' files, and on request of what they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, live, say, warn
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.preflight import Findings
    from fleet.project import Project
    from fleet.scan import ScanResult
    from stacks.problems import Problem


@click.command()
@click.argument("environments", nargs=-1)
@click.option(
    "--scan",
    is_flag=True,
    help="Check the synthesized Terraform by policy too, with checkov, which is installed at the first use.",
)
@click.option(
    "--entry", is_flag=True, help="Show every way into the machines too: closed, or recorded where."
)
@click.option(
    "--live",
    "ask_cloud",
    is_flag=True,
    help="Ask the cloud too: quotas, zones, reserved capacity, subnets, images.",
)
@json_option
@cloud_option
def command(
    environments: tuple[str, ...], scan: bool, entry: bool, ask_cloud: bool, as_json: bool, cloud: str | None
) -> int:
    """List every problem of environments/*.toml, or of the named ENVIRONMENTS, all at once.

    Exit code 0 when there is none, 2 otherwise, 1 for a scan that did not look at everything. Without --live
    no cloud is contacted; nothing is ever changed.
    """
    from fleet.project import find_project
    from stacks.environment import environment_files
    from stacks.guardrails import check_directory, plan_folder

    project = find_project()
    names = list(environments) or sorted(file.stem for file in environment_files(project.environments))
    errors, warnings = check_directory(project.environments, list(environments) or None)
    readable, buildable = _readable(project, names), not errors
    if ask_cloud:
        for name in readable:
            found = _asked(name, cloud)
            errors, warnings = [*errors, *found.errors], [*warnings, *found.warnings]
    scanned = _scanned(project, names) if scan and names and buildable else None
    if scan and not scanned:
        warn("nothing was scanned: what has errors is not synthesized")
    if scanned:
        errors, warnings = [*errors, *scanned.errors], [*warnings, *scanned.warnings]
    tables = _entered(project, names) if entry and names and buildable else {}
    addresses = plan_folder(project.environments, names)
    if as_json:
        plans = [plan.as_data() for plan in addresses]
        emit_json(
            {
                **_as_data(errors, warnings, scanned),
                "addresses": plans,
                **({"entry": tables} if entry else {}),
            }
        )
        return 2 if errors else 0
    _show_entries(tables)
    for plan in addresses:
        say(str(plan))
    return _tell(names, errors, warnings, scanned)


def _readable(project: Project, names: Sequence[str]) -> list[str]:
    """Return those of the environments that the cloud can be asked about: files and region are right."""
    from stacks.catalog import known_regions
    from stacks.guardrails import read_folder

    folder = read_folder(project.environments)
    regions = known_regions()
    known = {
        spec.name for file, spec in folder.specs.items() if spec.name == file.stem and spec.region in regions
    }
    return [name for name in names if name in known] if folder.account else []


def _asked(environment: str, cloud: str | None) -> Findings:
    """Hold one environment against the cloud."""
    from fleet.preflight import preflight
    from fleet.session import open_session

    return preflight(open_session(environment, cloud))


def _entered(project: Project, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the entry-path table of each environment."""
    from fleet.entry import entry_tables

    return entry_tables(project, names)


def _show_entries(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print the tables."""
    from stacks.entry_paths import as_text

    for name, rows in tables.items():
        say(f"ways into the machines of {name}:\n{as_text(rows)}\n")


def _scanned(project: Project, names: Sequence[str]) -> ScanResult:
    """Scan, with the progress shown."""
    from fleet.scan import scan
    from scripts.progress import reporter

    try:
        return scan(project, names, reporter())
    finally:
        live.clear()


def _tell(
    names: Sequence[str], errors: Sequence[Problem], warnings: Sequence[Problem], scanned: ScanResult | None
) -> int:
    """Print what was found. Raises UserError with every error."""
    from stacks.problems import UserError

    for warning in warnings:
        warn(str(warning))
    if scanned:
        say(str(scanned))
    if errors:
        raise UserError(errors)
    say(f"no problem in {', '.join(names) or 'environments/: it holds no environment yet'}")
    return 0


def _as_data(
    errors: Sequence[Problem], warnings: Sequence[Problem], scanned: ScanResult | None
) -> dict[str, Any]:
    """Return what was found as data: `scan` is there only where one was made."""
    from dataclasses import asdict

    data: dict[str, Any] = {
        "errors": [asdict(each) for each in errors],
        "warnings": [asdict(each) for each in warnings],
    }
    if scanned:
        verdict = scanned.verdict
        data["scan"] = {
            "tool": "checkov",
            "version": verdict.version,
            "resources": dict(verdict.resources),
            "checks": verdict.checks,
            "failed": len(scanned.errors),
            "waived": [
                {**asdict(finding), "reason": waiver.reason, "owner": waiver.owner, "review": waiver.review}
                for finding, waiver in scanned.waived
            ],
        }
    return data
