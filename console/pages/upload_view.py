"""An upload in a reader's words: what has come, what the check has found, a few items to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlencode

from console.store.upload_rows import CHECKING, OPEN
from console.uploads.findings import Findings, read_findings
from console.uploads.keeper import Upload
from console.words import said
from console.words.reader import Reader
from fleet.data_check import DataReport
from fleet.data_preview import Preview
from stacks.problems import Problem
from templates.console.data_preview import DataPreview, PreviewPicture, PreviewText
from templates.console.home import Figure, Tone
from templates.console.problem import Said
from templates.console.upload import BrokenLine

MOST_BROKEN, MOST_CLASSES, MOST_COLUMNS = 50, 100, 30
"""Broken things, classes and columns that a page shows."""
_BROKEN_OFF = "broken off"
_TOO_MANY = re.compile(r"(\d+) of (\d+) \w+ are broken \(")
"""How the trainer begins to say so (trainer/data/quarantine.py)."""


def size(reader: Reader, count: float) -> str:
    """Return bytes in words."""
    if count < 1000:
        return f"{reader.number(count)} B"
    if count < 1e6:
        return f"{reader.number(count / 1e3, 1)} kB"
    return (
        f"{reader.number(count / 1e6, 1)} MB" if count < 2**30 else f"{reader.number(count / 2**30, 1)} GiB"
    )


def kind_name(reader: Reader, kind: str) -> str:
    """Return what a kind of data is called."""
    _ = reader.gettext
    return {"pictures": _("Pictures"), "table": _("Table"), "text": _("Texts")}[kind]


def state(reader: Reader, upload: Upload) -> tuple[str, Tone, str]:
    """Return how an upload stands: its name, its tone, and what that means."""
    _ = reader.gettext
    names: dict[str, tuple[str, Tone, str]] = {
        OPEN: (_("not complete"), "plain", _("Some of it has not come yet.")),
        CHECKING: (
            _("being checked"),
            "busy",
            _("Every file is looked through. That goes on without this page, too."),
        ),
        _BROKEN_OFF: (
            _("not checked"),
            "bad",
            _("The check was broken off or has failed. What came is still here: have it checked again."),
        ),
        "ready": (_("ready"), "good", _("It can be trained on.")),
        "refused": (
            _("can't be used"),
            "bad",
            _("Mend what is said below, and bring it again. The files themselves were not kept."),
        ),
    }
    return names[_BROKEN_OFF if upload.broken_off else upload.state]


def figures(reader: Reader, upload: Upload, found: Findings | None) -> Iterator[Figure]:
    """Yield how much there is."""
    _, report = reader.gettext, found.report if found else None
    if found and report and report.usable:
        yield Figure(label=_items_label(reader, upload.kind), value=_items(reader, found), note="")
    if report and report.classes:
        yield Figure(label=_("Classes"), value=reader.number(len(report.classes)), note="")
    files, count = (report.files, report.bytes) if report else (upload.files, upload.bytes)
    yield Figure(label=_("Files"), value=reader.number(files), note=size(reader, count))
    if report and report.broken_count:
        yield Figure(label=_("Broken"), value=reader.number(report.broken_count), note=_("left out"))


def _items_label(reader: Reader, kind: str) -> str:
    _ = reader.gettext
    return {"pictures": _("Pictures"), "table": _("Rows"), "text": _("Texts")}[kind]


def _items(reader: Reader, found: Findings) -> str:
    report, preview = found.report, found.preview
    seen = preview.rows_seen if preview else 0
    text = reader.number(sum(report.items.values()) or seen or len(preview.texts if preview else ()))
    return f"{text}+" if preview and preview.more_rows else text


def problems(reader: Reader, findings: Findings | None) -> tuple[Said, ...]:
    """Return why it can't be used; where too much is broken, without what is named below."""
    found = findings.report.problems if findings else ()
    return tuple(each for problem in found for each in _problem(reader, problem))


def _problem(reader: Reader, problem: Problem) -> tuple[Said, ...]:
    _ = reader.gettext
    told = _TOO_MANY.match(problem.what)
    if told is None:
        return said.problems(reader, [problem])
    bad, whole = reader.number(int(told[1])), reader.number(int(told[2]))
    what = _("{bad} of {all} are broken. At most one in a hundred may be.").format(bad=bad, all=whole)
    return (Said(what=what, do=_("Mend what is named below, or leave it out."), language=""),)


def broken(reader: Reader, report: DataReport) -> tuple[BrokenLine, ...]:
    """Return what of it is broken, the first of it."""
    _ = reader.gettext
    return tuple(
        BrokenLine(
            file=each.file,
            row=_("row {row}").format(row=reader.number(each.row)) if each.row is not None else "",
            what=said.said(reader, each.what),
        )
        for each in report.broken[:MOST_BROKEN]
    )


def preview(reader: Reader, upload: Upload) -> DataPreview | None:
    """Return a few items of it, None where there are none to show."""
    found = read_findings(upload.folder.path)
    if found is None or found.preview is None:
        return None
    shown, path = found.preview, f"/uploads/{upload.id}/pictures"
    names = tuple(column.name for column in shown.columns)[:MOST_COLUMNS]
    return DataPreview(
        title=reader.gettext("Some of it"),
        about=tuple(_about(reader, shown)),
        classes=tuple(_classes(reader, found.report)),
        pictures=tuple(
            PreviewPicture(src=f"{path}/{number}", label=each.label)
            for number, each in enumerate(shown.pictures)
            if each.png
        ),
        columns=names,
        target="",
        rows=tuple(tuple(_cell(row.get(name)) for name in names) for row in shown.rows),
        texts=tuple(PreviewText(label=each.label or each.file, text=each.text) for each in shown.texts),
        warnings=(),
    )


def _about(reader: Reader, shown: Preview) -> Iterator[str]:
    if len(shown.columns) > MOST_COLUMNS:
        text = reader.gettext("The first {some} of {all} columns are shown.")
        yield text.format(some=MOST_COLUMNS, all=reader.number(len(shown.columns)))


def _classes(reader: Reader, report: DataReport) -> Iterator[tuple[str, str]]:
    counts = {name: sum(parts.values()) for name, parts in report.classes.items()}
    for name, count in sorted(counts.items(), key=lambda each: -each[1])[:MOST_CLASSES]:
        yield name, reader.number(count)


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def goal(upload: Upload) -> str:
    """Return where its person came from, told which upload it is; "" from nowhere in particular."""
    if not upload.next_page:
        return ""
    path, mark, query = upload.next_page.partition("?")
    return f"{path}?{query}{'&' if mark and query else ''}{urlencode({'upload': upload.id})}"
