"""`fleetform data`: look at data before it is trained on, and check it as the training will."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, say, table
from scripts.options import json_option

if TYPE_CHECKING:
    from fleet.data_check import DataReport
    from fleet.data_preview import Preview, ShownColumn

EXIT_MISTAKE = 2
_SHOWN = 5
"""Rows, texts and broken files that are printed."""


@click.command()
@click.argument("path")
@click.option(
    "--kind",
    type=click.Choice(["pictures", "table", "text"]),
    help="What the files are. Without it PATH is the name of a set that comes with fleetform.",
)
@click.option("--check", is_flag=True, help="Look all of it through, as before a training.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of [data]: `target=churned`."
)
@json_option
def command(path: str, kind: str | None, check: bool, settings: tuple[str, ...], as_json: bool) -> int:
    """Show what the files of PATH hold, a folder, a file or a zip; with --check what of it is broken.

    A zip is unpacked into a folder that goes away.
    """
    from fleet import data_check
    from fleet.data_preview import preview, preview_known

    if kind is None:
        _show(preview_known(path), as_json)
        return 0
    with _unpacked(Path(path).expanduser()) as folder:
        if not check:
            _show(preview(folder, kind), as_json)
            return 0
        report = data_check.check(folder, kind, settings=data_check.read_settings(settings))
    if as_json:
        emit_json(report.to_dict())
    else:
        _report(report)
    return 0 if report.usable else EXIT_MISTAKE


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """Give the folder or file; of a zip what is in it."""
    from fleet.unpack import unpack
    from stacks.problems import UserError

    if not path.exists():
        raise UserError.of(f"{path} does not exist", "name a folder, a file or a zip", path="PATH")
    if path.suffix.lower() != ".zip":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="fleetform-data-") as made:
        folder = Path(made) / "unpacked"
        unpack(path, folder)
        yield folder


def _show(found: Preview, as_json: bool) -> None:
    """Print what there is, and a few items."""
    if as_json:
        emit_json(_as_json(found))
        return
    if found.files:
        say(f"{found.files:,} files, {found.bytes / 1e6:,.1f} MB")
    for name, number in found.classes.items():
        say(f"  {name}: {number:,}")
    if found.columns:
        more = " and more" if found.more_rows else ""
        say(f"{found.rows_seen:,} rows{more}, {len(found.columns)} columns")
        headers = ("column", "taken for", "missing", "different", "can be predicted")
        say(table(headers, [_column_row(each) for each in found.columns], right=(2, 3)))
    for text in found.texts[:_SHOWN]:
        say(f"{text.file or text.label}: {' '.join(text.text.split())[:100]}")
    _broken(found.broken, found.broken_count)


def _column_row(column: ShownColumn) -> tuple[object, ...]:
    feature = f"ignored: {column.why}" if column.kind == "ignored" else column.kind
    target = f"as a {column.target}" if column.target else f"no: {column.why_no_target}"
    different = "many" if column.different is None else f"{column.different:,}"
    return column.name, feature, f"{column.missing:,}", different, target


def _as_json(found: Preview) -> Mapping[str, Any]:
    """Return the preview as data, without the pictures themselves."""
    import dataclasses

    told = dataclasses.asdict(found)
    told["pictures"] = [{**each, "png": len(each["png"])} for each in told["pictures"]]
    return told


def _report(report: DataReport) -> None:
    """Print what a check found."""
    say(f"{report.files:,} files, {report.bytes / 1e6:,.1f} MB")
    if report.items:
        say(f"{report.items['train']:,} to train on, {report.items['held_out']:,} held out")
    for name, parts in report.classes.items():
        say(f"  {name}: {parts['train']:,} + {parts['held_out']:,}")
    _broken(report.broken, report.broken_count)
    for warning in report.warnings:
        say(f"warning: {warning}")
    for problem in report.problems:
        say(f"error: {problem}")


def _broken(broken: tuple[Any, ...], number: int) -> None:
    for each in broken[:_SHOWN]:
        row = "" if each.row is None else f", row {each.row}"
        say(f"broken: {each.file}{row}: {each.what}")
    if number > _SHOWN:
        say(f"broken: {number:,} in all")
