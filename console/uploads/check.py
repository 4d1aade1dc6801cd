"""Checks an upload that has come whole, in a process of its own: what it holds, and a few items of it.

Until this has passed, nothing of it goes anywhere else. It can be done again from the start at any moment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.settings import DATA
from console.uploads.findings import Findings, read_findings, write_findings
from console.uploads.manifest import Manifest
from console.uploads.spool import UploadFolder
from fleet.data_check import DataReport, check, survey, without_place
from fleet.data_preview import Preview, preview
from fleet.project import Project
from fleet.unpack import UnpackLimits, unpack
from stacks.problems import Problem, UserError

SHOWN = {"pictures": 12, "table": 10, "text": 5}
"""Pictures, rows, texts that the preview has."""


def folder_of(data: Path, upload_id: str) -> UploadFolder:
    """Return an upload's folder below what a console keeps, whether it is there or not."""
    return UploadFolder(data / "uploads" / upload_id)


def check_upload(project: Project, upload_id: str) -> dict[str, Any]:
    """Check it, keep what was found beside it, and return whether it can be used.

    What can't be used is not kept. Raises ActError where the check itself fails.
    """
    folder = folder_of(project.root / DATA, upload_id)
    found = read_findings(folder.path)
    if found is None:
        found = _look(folder)
        write_findings(folder.path, found)
    folder.drop_raw()
    if not found.report.usable:
        shutil.rmtree(folder.data, ignore_errors=True)
    return {"usable": found.report.usable, "bytes": found.report.bytes, "files": found.report.files}


def _look(folder: UploadFolder) -> Findings:
    manifest = folder.manifest
    try:
        if not folder.data.exists():
            _arrange(folder, manifest)
        return _found(folder.data, manifest)
    except UserError as error:
        problems = tuple(_without_place(each, folder.data) for each in error.problems)
        report = DataReport(
            kind=manifest.kind, files=len(manifest.files), bytes=manifest.bytes, problems=problems
        )
        return Findings(report, None)


def _arrange(folder: UploadFolder, manifest: Manifest) -> None:
    """Lay the files out under their own names, or unpack the one archive; raises UserError."""
    if manifest.is_archive:
        limits = UnpackLimits(files=manifest.limits.files, bytes=manifest.limits.upload_bytes)
        folder.raw(0).touch()  # of no bytes nothing is ever sent
        try:
            unpack(folder.raw(0), folder.data, limits)
        except UserError as error:
            raise UserError(_renamed(error.problems, folder.raw(0).name, manifest.name)) from None
        return
    partial = folder.data.with_name("data.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for number, each in enumerate(manifest.files):
        path = partial / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if each.size:
            os.link(folder.raw(number), path)
        else:
            path.touch()
    partial.rename(folder.data)


def _without_place(problem: Problem, data: Path) -> Problem:
    return replace(problem, what=without_place(problem.what, data)) if data.is_dir() else problem


def _renamed(problems: Sequence[Problem], number: str, name: str) -> list[Problem]:
    """Return the problems with the archive's own name instead of its number."""
    return [replace(each, file=name) if each.file == number else each for each in problems]


def _found(data: Path, manifest: Manifest) -> Findings:
    """Return what the data holds; columns are still to be chosen, so a table is judged by all of them."""
    kind, limits = manifest.kind, manifest.data_limits
    report = survey(data, kind, limits)
    if not report.usable:
        return Findings(report, None)
    if kind == "pictures":
        report = check(data, kind, limits)
    if not report.usable:
        return Findings(report, None)
    shown = preview(data, kind, SHOWN[kind], limits.share)
    if shown.columns:
        return Findings(_table_report(report, shown), shown)
    if kind != "pictures":
        report = check(data, kind, limits)
    return Findings(report, shown if report.usable else None)


def _table_report(report: DataReport, shown: Preview) -> DataReport:
    warnings = report.warnings
    if shown.kind == "table" and not any(column.target for column in shown.columns):
        warnings = (*warnings, "no column of it can be predicted from the others")
    return replace(report, broken=shown.broken, broken_count=shown.broken_count, warnings=warnings)
