"""The policy scan: checkov over the synthesized stacks, less the waivers, and only if it read all of them."""

from __future__ import annotations

import datetime
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.checkov import FRAMEWORK, VERSION, ScanError, find_checkov, run_checkov
from fleet.project import Project
from fleet.scan_copy import Block, ScanCopy, copy_stack
from fleet.synth import synthesize_all
from fleet.terraform_events import ProgressEvent, Report
from stacks.problems import Problem
from stacks.waivers import Waiver, load_waivers, waiver_files

POLICIES = Path(__file__).parent.parent / "stacks" / "scan"
COUNTING_CHECK = "CKV2_FLEETFORM_1"
"""Our own policy, which passes on every resource that checkov has read: the honest count of them."""
INDEX = "https://www.checkov.io/5.Policy%20Index/terraform.html"
"""Where each check is described; offline, checkov's report has no page of its own for one."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check that failed on a resource."""

    check: str
    name: str
    """What it asks for, in checkov's words."""
    stack: str
    address: str
    place: str = ""
    """The line of our code that makes the resource (`stacks/buckets.py:42`)."""
    guideline: str = INDEX

    def __str__(self) -> str:
        return f"{self.check} at {self.stack}: {self.address}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What checkov said of every stack, before any waiver."""

    version: str
    resources: Mapping[str, int]
    """Resources that were read by stack: all that the stack declares."""
    checks: int
    """Checks that passed or failed; ours, which only counts, is not among them."""
    failed: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class ScanResult:
    """The policy scan of some environments and the account."""

    verdict: Verdict
    errors: tuple[Problem, ...]
    """Checks that failed and are not waived."""
    warnings: tuple[Problem, ...]
    waived: tuple[tuple[Finding, Waiver], ...]

    def __str__(self) -> str:
        read = sum(self.verdict.resources.values())
        return (
            f"checkov {self.verdict.version} scanned {read} resources of {read} in "
            f"{len(self.verdict.resources)} stacks: {self.verdict.checks} checks, "
            f"{len(self.errors)} failed, {len(self.waived)} waived with a reason"
        )


def scan(project: Project, environments: Sequence[str], report: Report) -> ScanResult:
    """Synthesize the environments, check them by policy and hold the failures against the waivers.

    Contacts nothing but, at the first use, the package index that checkov comes from. Raises UserError for
    files that are wrong, SynthesisError, and ScanError where anything was left unread.
    """
    waivers = load_waivers(waiver_files(project.environments))
    checkov = find_checkov(project, report)
    folder = project.home / "scan"
    shutil.rmtree(folder, ignore_errors=True)
    synthesized = synthesize_all(project, environments, folder / "cdktf.out")
    verdict, copies = check_stacks(synthesized, folder / "copy", checkov, report)
    return judge(verdict, copies, waivers, datetime.datetime.now(datetime.UTC).date())


def check_stacks(
    synthesized: Path, target: Path, checkov: Path, report: Report
) -> tuple[Verdict, list[ScanCopy]]:
    """Run checkov over every stack below `synthesized`, through copies made in `target`."""
    stacks = sorted(path.parent for path in (synthesized / "stacks").glob("*/cdk.tf.json"))
    copies = [copy_stack(stack, target / stack.name) for stack in stacks]
    text = f"checking {sum(len(copy.resources) for copy in copies)} resources"
    report(ProgressEvent(kind="note", stack="checkov", text=text))
    return read_report(run_checkov(checkov, target, POLICIES), copies), copies


def read_report(text: str, copies: Sequence[ScanCopy]) -> Verdict:
    """Return what checkov's JSON report says. Raises ScanError where it did not read every resource."""
    try:
        report = json.loads(text)
    except ValueError as error:
        raise ScanError(f"checkov's report is no JSON ({error}): {text[:200]!r}") from error
    # One framework gives an object, several a list of them, and none at all an object without results.
    parts = [part for part in (report if isinstance(report, list) else [report]) if "results" in part]
    unread = [file for part in parts for file in part["results"].get("parsing_errors", [])]
    if unread:
        raise ScanError(f"checkov could not read {', '.join(sorted(unread))}, so nothing there was checked")
    by_stack = {copy.stack: copy for copy in copies}
    passed = [record for part in parts for record in part["results"]["passed_checks"]]
    failed = [record for part in parts for record in part["results"]["failed_checks"]]
    read = _read_resources(passed, by_stack)
    judged = [record for record in (*passed, *failed) if record["check_id"] != COUNTING_CHECK]
    for copy in copies:
        _require_all_read(copy, read[copy.stack], any(_stack(each) == copy.stack for each in judged))
    findings = {_finding(record, by_stack) for record in failed}
    return Verdict(
        version=next((part["summary"]["checkov_version"] for part in parts), "?"),
        resources={copy.stack: len(copy.resources) for copy in copies},
        checks=len(judged),
        failed=tuple(sorted(findings, key=lambda each: (each.stack, each.address, each.check))),
    )


def judge(
    verdict: Verdict,
    copies: Sequence[ScanCopy],
    waivers: Sequence[tuple[str, Waiver]],
    today: datetime.date,
) -> ScanResult:
    """Hold what failed against the waivers; a waiver that is out of date or waives nothing is a warning."""
    waived: list[tuple[Finding, Waiver]] = []
    errors: list[Problem] = []
    for finding in verdict.failed:
        covering = [each for _, each in waivers if each.covers(finding.check, finding.stack, finding.address)]
        waived += [(finding, each) for each in covering[:1]]
        errors += [] if covering else [_problem(finding)]
    warnings = [*_expired(waivers, today), *_unused(verdict, copies, waivers)]
    if verdict.version != VERSION:
        warnings.append(
            Problem(
                what=f"this is checkov {verdict.version}; the waivers were written for {VERSION}",
                do=f"take {VERSION}, or read the waivers again",
            )
        )
    return ScanResult(verdict=verdict, errors=tuple(errors), warnings=tuple(warnings), waived=tuple(waived))


def _read_resources(records: Sequence[Mapping[str, Any]], copies: Mapping[str, ScanCopy]) -> Counter[str]:
    """Return how many of each stack's own resources the counting check has passed on."""
    read = set()
    for record in records:
        if record["check_id"] == COUNTING_CHECK:
            block = _block(record, copies)
            if block and not block.spelled_out and not block.address.startswith("data."):
                read.add((_stack(record), block.address))
    return Counter(stack for stack, _ in read)


def _require_all_read(copy: ScanCopy, read: int, judged: bool) -> None:
    """Raise ScanError unless every resource of the stack was read and any of its checks was made."""
    declared = len(copy.resources)
    if read < declared or not judged:
        what = f"{read} of the {declared} resources of {copy.stack} were scanned"
        what += "" if judged else ", and no check was made"
        raise ScanError(
            f"{what}; that is no scan\n"
            f"    the framework must be {FRAMEWORK}, and checkov {VERSION} able to read every file"
        )


def _stack(record: Mapping[str, Any]) -> str:
    return Path(str(record["file_path"])).parent.name


def _block(record: Mapping[str, Any], copies: Mapping[str, ScanCopy]) -> Block | None:
    """Return what the record is about, told by its line: some checks name a resource without its type."""
    copy = copies.get(_stack(record))
    return copy.block_at(int(record["file_line_range"][0])) if copy else None


def _finding(record: Mapping[str, Any], copies: Mapping[str, ScanCopy]) -> Finding:
    stack, block = _stack(record), _block(record, copies)
    address = block.address if block else str(record["resource"])
    return Finding(
        check=str(record["check_id"]),
        name=str(record["check_name"]),
        stack=stack,
        address=address,
        place=copies[stack].places.get(address, "") if stack in copies else "",
        guideline=str(record.get("guideline") or INDEX),
    )


def _problem(finding: Finding) -> Problem:
    return Problem(
        file=finding.place,
        path=f"{finding.stack}: {finding.address}",
        what=f"{finding.check}: {finding.name}",
        do=f"do what {finding.guideline} says of {finding.check}, or waive it with a reason in "
        "environments/waivers.toml",
    )


def _expired(waivers: Sequence[tuple[str, Waiver]], today: datetime.date) -> Iterator[Problem]:
    for file, waiver in waivers:
        if waiver.review < today:
            yield Problem(
                file=file,
                path=str(waiver),
                what=f"the waiver was to be looked at again by {waiver.review}",
                do=f"ask {waiver.owner} whether its reason still holds, and set a new day or take it out",
            )


def _unused(
    verdict: Verdict, copies: Sequence[ScanCopy], waivers: Sequence[tuple[str, Waiver]]
) -> Iterator[Problem]:
    """Tell the waivers of resources that are there and pass.

    One of a resource that is not there may be used by another environment, and one with a `when` likewise.
    """
    for file, waiver in waivers:
        if waiver.when:
            continue
        there = [
            f"{copy.stack}: {block.address}"
            for copy in copies
            for block in copy.blocks
            if waiver.reaches(copy.stack, block.address)
        ]
        if there and not any(waiver.covers(each.check, each.stack, each.address) for each in verdict.failed):
            yield Problem(
                file=file,
                path=str(waiver),
                what=f"the waiver waives nothing: the check does not fail at {there[0]}",
                do="take it out",
            )
