"""`fleetform check`: list every problem of the environments' files, and on request of what they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, live, say, warn
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.project import Project
    from fleet.scan import ScanResult
    from stacks.address_plan import SubnetPlan
    from stacks.problems import Problem


FORMAT = "fleetform-check/1"


@dataclass
class Found:
    """What the checks have found so far, and what was asked for besides."""

    errors: list[Problem]
    warnings: list[Problem]
    scanned: ScanResult | None = None
    """None where no scan was asked for, or none could be made."""
    kept: Path | None = None
    """Where the scan was written to, for an evidence pack."""
    entry: dict[str, list[dict[str, Any]]] | None = None
    """The rows of each environment's entry-path table, None as above."""
    addresses: Sequence[SubnetPlan] = ()

    def left_out(self, what: str, option: str) -> None:
        """Warn of what an option asked for and did not get."""
        from stacks.problems import Problem

        why = "its files have errors, or there is no environment"
        do = f"mend these first, then run it again with {option}"
        self.warnings.append(Problem(path=option, what=f"{what}: {why}", do=do))


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
    no cloud is contacted, and none is ever changed. A scan is kept in scans/, for evidence packs.
    """
    from fleet.project import find_project
    from stacks.environment import environment_files
    from stacks.guardrails import check_directory, plan_folder

    project = find_project()
    names = list(environments) or sorted(file.stem for file in environment_files(project.environments))
    errors, warnings = check_directory(project.environments, list(environments) or None)
    found = Found(errors, warnings)
    buildable = bool(names) and not errors
    if ask_cloud:
        _add_asked(found, project, names, cloud)
    if scan:
        _add_scanned(found, project, names, buildable)
    if entry:
        _add_entries(found, project, names, buildable)
    found.addresses = plan_folder(project.environments, names)
    if as_json:
        emit_json(_as_data(found))
        return 2 if found.errors else 0
    return _tell(names, found)


def _add_asked(found: Found, project: Project, names: Sequence[str], cloud: str | None) -> None:
    """Hold each environment that can be read against the cloud, and name those that cannot."""
    from fleet.preflight import preflight
    from fleet.session import open_session

    readable = _readable(project, names)
    for name in readable:
        seen = preflight(open_session(name, cloud))
        found.errors += seen.errors
        found.warnings += seen.warnings
    unread = [name for name in names if name not in readable]
    if unread:
        found.left_out(f"the cloud was not asked about {', '.join(unread)}", "--live")


def _add_scanned(found: Found, project: Project, names: Sequence[str], buildable: bool) -> None:
    """Scan by policy, with the progress shown, unless something has errors."""
    from fleet.scan import scan
    from scripts.progress import reporter

    if not buildable:
        found.left_out("nothing was scanned", "--scan")
        return
    try:
        found.scanned = scan(project, names, reporter())
        found.kept = _keep(found, project, names)
    finally:
        live.clear()
    found.errors += found.scanned.errors
    found.warnings += found.scanned.warnings


def _keep(found: Found, project: Project, names: Sequence[str]) -> Path | None:
    """Keep the scan for an evidence pack; a folder that cannot be written to is a warning."""
    from fleet.scan_record import keep_scan
    from stacks.problems import Problem

    assert found.scanned is not None
    try:
        return keep_scan(project.root, names, found.scanned)
    except OSError as error:
        do = "make the project's folder writable, for evidence packs have the scans that are kept there"
        found.warnings.append(Problem(path="--scan", what=f"the scan is not kept: {error}", do=do))
    return None


def _add_entries(found: Found, project: Project, names: Sequence[str], buildable: bool) -> None:
    """Add the entry-path table of each environment, unless something has errors."""
    from fleet.entry import entry_tables

    if not buildable:
        found.left_out("the ways into the machines are not shown", "--entry")
        return
    found.entry = entry_tables(project, names)


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


def _show_entries(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Print the tables."""
    from stacks.entry_paths import as_text

    for name, rows in tables.items():
        say(f"ways into the machines of {name}:\n{as_text(rows)}\n")


def _tell(names: Sequence[str], found: Found) -> int:
    """Print what was found. Raises UserError with every error."""
    from stacks.problems import UserError

    _show_entries(found.entry or {})
    for plan in found.addresses:
        say(str(plan))
    for warning in found.warnings:
        warn(str(warning))
    if found.scanned:
        say(str(found.scanned))
        if found.kept:
            say(f"kept in {found.kept}")
    if found.errors:
        raise UserError(found.errors)
    say(f"no problem in {', '.join(names) or 'environments/: it holds no environment yet'}")
    return 0


def _as_data(found: Found) -> dict[str, Any]:
    """Return what was found as data; docs/checks.md describes the keys."""
    from fleet.scan_record import scan_as_data

    return {
        "format": FORMAT,
        "errors": [asdict(each) for each in found.errors],
        "warnings": [asdict(each) for each in found.warnings],
        "scan": scan_as_data(found.scanned) if found.scanned else None,
        "addresses": [plan.as_data() for plan in found.addresses],
        "entry": found.entry,
    }
