"""Checks data that somebody brings before anything is learned from it: what it holds, what of it is broken.

The files are read by the trainer's own programs, in a process of their own with a share of the machine: the
check says what the preparation will say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fleet.file_kinds import own_files, unread_files, wrong_texts
from fleet.file_names import first_of, is_rubbish
from fleet.trainer_process import Share, ask_trainer
from stacks.problems import Problem, UserError
from trainer.config import parse_value

KINDS = ("pictures", "table", "text")
_RECIPES = {"pictures": "digits-resnet", "table": "wine", "text": "gpt-bpe"}
"""A recipe for each kind, for its data alone: any of the kind will do."""
_LABELLED = "text-class"
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {"pictures": {"height": 64, "width": 64}}
"""Settings where nothing is said: a check need not be of the size that is trained on later."""

Setting = str | int | float | bool


@dataclass(frozen=True)
class DataLimits:
    """How much somebody may bring, and what looking at it may take."""

    files: int = 20_000
    bytes: int = 2 * 2**30
    share: Share = field(default_factory=Share)


@dataclass(frozen=True)
class Broken:
    """One file or row that is left out."""

    file: str
    row: int | None
    """Row of the file, counted from 1; None where it is all of the file."""
    what: str


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What a check found."""

    kind: str
    files: int
    bytes: int
    problems: tuple[Problem, ...] = ()
    """Why nothing can be learned from it; none where it can be used."""
    digest: str = ""
    """SHA-256 of the data as it is prepared with these settings; "" where it cannot be."""
    items: Mapping[str, int] = field(default_factory=dict)
    """How many pictures, rows, documents there are to `train` on, and `held_out`."""
    tokens: Mapping[str, int] = field(default_factory=dict)
    """The same of a text's tokens, where it is learned from as one text."""
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """The same of each class, where there are classes."""
    broken: tuple[Broken, ...] = ()
    """The first hundred of what is left out."""
    broken_count: int = 0
    warnings: tuple[str, ...] = ()
    """What makes the data less useful than it looks, and files that nothing reads."""

    @property
    def usable(self) -> bool:
        """Whether it can be learned from."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"usable": self.usable}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> DataReport:
        """Return the report that `to_dict` has written."""
        values = {key: value for key, value in table.items() if key != "usable"}
        values["problems"] = tuple(Problem(**each) for each in table["problems"])
        values["broken"] = tuple(Broken(**each) for each in table["broken"])
        return cls(**values | {"warnings": tuple(table["warnings"])})


def check(
    folder: Path,
    kind: str,
    limits: DataLimits | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> DataReport:
    """Look all data of a folder through and return what was found, with the problems that it has.

    `settings` are those of the recipe's section [data] (`target`, `label_column`, ...: docs/data.md). Nothing
    is kept. Raises ActError where the check itself fails.
    """
    assert kind in KINDS, "the kinds are those of KINDS"
    limits, settings = limits or DataLimits(), settings or {}
    report = survey(folder, kind, limits)
    if not report.usable:
        return report
    recipe = _LABELLED if settings.get("label_column") else _RECIPES[kind]
    values = {**_DEFAULTS.get(kind, {}), **settings, "kind": kind, "path": str(data_folder(folder))}
    overrides = [f"data.{key}={_literal(value)}" for key, value in values.items()]
    try:
        arguments = [recipe, "dataset=", *overrides, "--check", "--json"]
        told = ask_trainer("trainer.prepare", arguments, limits.share).answer
    except UserError as error:
        told = {"problems": [problem.what for problem in error.problems]}
    return _report(report, told, folder)


def survey(folder: Path, kind: str, limits: DataLimits | None = None) -> DataReport:
    """Return what can be told of the files from outside: how many, which are too many, or never read."""
    files = own_files(folder)
    size = sum(path.stat().st_size for path in files.values())
    problems = [*too_much(len(files), size, limits or DataLimits())]
    if kind != "pictures":
        problems += first_of(wrong_texts(files))
    unread = tuple(f"{each.file} {each.what}: {each.do}" for each in first_of(unread_files(files)))
    return DataReport(kind=kind, files=len(files), bytes=size, problems=tuple(problems), warnings=unread)


def data_folder(folder: Path) -> Path:
    """Return the folder that the data begins in: below what is brought as one folder of folders."""
    entries = _entries(folder)
    while len(entries) == 1 and entries[0].is_dir() and any(each.is_dir() for each in _entries(entries[0])):
        folder = entries[0]
        entries = _entries(folder)
    return folder


def _entries(folder: Path) -> list[Path]:
    if folder.is_file():
        return []
    return [path for path in folder.iterdir() if not is_rubbish(path.name)]


def too_much(files: int, size: int, limits: DataLimits) -> list[Problem]:
    """Return what the data has too much of, or that there is none."""
    problems = []
    if not files:
        problems.append(Problem(what="there are no files", do="bring the files to learn from"))
    if files > limits.files:
        what = f"it has {files:,} files, and {limits.files:,} may be brought at once"
        problems.append(Problem(what=what, do="bring less of it"))
    if size > limits.bytes:
        what = f"it has {size / 1e6:,.0f} MB, and {limits.bytes / 1e6:,.0f} MB may be brought at once"
        problems.append(Problem(what=what, do="bring less of it"))
    return problems


def _literal(value: Setting) -> str:
    """Return the value as TOML: a text is a text, whatever it looks like."""
    return json.dumps(value, ensure_ascii=False)


def _report(begun: DataReport, told: Mapping[str, Any], folder: Path) -> DataReport:
    """Return the report with what the trainer told."""
    found = told.get("report", {})
    counts = (found[key] for key in ("rows", "pictures", "documents", "tokens") if key in found)
    items: Mapping[str, int] = next(counts, {})
    broken = tuple(Broken(**each) for each in told.get("broken", ()))
    problems = tuple(
        Problem(what=without_place(str(each), folder), do="mend that, and bring the data again")
        for each in told.get("problems", ())
    )
    return DataReport(
        kind=begun.kind,
        files=begun.files,
        bytes=begun.bytes,
        problems=problems,
        digest=str(told.get("digest", "")),
        items=items,
        tokens=found.get("tokens", {}),
        classes=found.get("classes", {}),
        broken=broken,
        broken_count=found.get("bad_rows", found.get("bad_files", len(broken))),
        warnings=(*begun.warnings, *found.get("warnings", ())),
    )


def without_place(text: str, folder: Path) -> str:
    """Return a sentence of the trainer's without where the files happen to lie on this machine."""
    return text.replace(f"{data_folder(folder)}/", "").replace(str(data_folder(folder)), "the data")


def read_settings(given: Sequence[str]) -> dict[str, Setting]:
    """Return `KEY=VALUE` as settings of [data], read as a recipe's own are; raises UserError."""
    found: dict[str, Setting] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise UserError.of(f"{each!r} is no setting", "write KEY=VALUE", path="--set")
        found[key] = parse_value(value)
    return found
