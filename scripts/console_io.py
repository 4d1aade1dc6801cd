"""What every verb prints with: plain text for a pipe, a live line for a terminal, data for `--json`."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import click


def say(text: str = "") -> None:
    """Print a line of the answer to standard output."""
    click.echo(text)


def note(text: str) -> None:
    """Print a line about the work to standard error, so that the answer can be piped."""
    live.clear()
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    note(f"warning: {text}")


def emit_json(data: Any) -> None:
    """Print the answer as JSON: for `--json`, nothing else goes to standard output."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """Return the rows as aligned text; the columns numbered in `right` are aligned to the right."""
    cells = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


class LiveLine:
    """One line on a terminal's standard error that is written over; nothing at all on a pipe."""

    def __init__(self) -> None:
        self._shown = False

    @property
    def enabled(self) -> bool:
        """Whether standard error is a terminal."""
        return sys.stderr.isatty()

    def show(self, text: str) -> None:
        """Replace the line by `text`, cut to the terminal's width."""
        if self.enabled:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\033[K{text[:width]}", err=True, nl=False)
            self._shown = True

    def clear(self) -> None:
        """Take the line away, so that ordinary text can follow."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)
            self._shown = False


live = LiveLine()
"""The process's one live line; `note` clears it before it prints."""
