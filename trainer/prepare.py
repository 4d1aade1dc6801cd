"""Prepares data to train on: `python -m trainer.prepare RECIPE_OR_TOML [key=value ...] [--check]`.

A bundled data set can be named itself. Without --out it goes where training looks: this machine's cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import ConfigError, load_config
from trainer.configs.data import BUNDLED_SHAPES
from trainer.limits import add_limits, limit_process

if TYPE_CHECKING:
    from trainer.data.prepare_data import Request

EXIT_USER_MISTAKE = 2
MOST_BROKEN = 100
"""Broken rows and files that --json names; their number is in the report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the data; 0 when it is there, 2 where it cannot be made on this machine."""
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    parser.add_argument("name", help=f"a recipe, a .toml file, or one of {', '.join(BUNDLED_SHAPES)}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the recipe")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to make the data set's folder")
    parser.add_argument("--check", action="store_true", help="look the data through and keep nothing")
    parser.add_argument("--json", action="store_true", help="print what was prepared, or why not, as JSON")
    add_limits(parser)
    options = parser.parse_args(arguments)
    limit_process(options)
    try:
        return run(options)
    except ConfigError as error:
        return _fail(error.problems, [], options.json)


def run(options: argparse.Namespace) -> int:
    """Prepare a bundled data set or the user's data, and tell what it holds; raises ConfigError."""
    if options.name in BUNDLED_SHAPES and not options.overrides:
        dataset, data = options.name, None
    else:
        config = load_config(options.name, options.overrides)
        dataset, data = config.dataset, config.data
    try:
        import numpy  # noqa: F401
    except ImportError:
        return _fail(["to prepare data: pip install numpy"], [], options.json)
    from trainer.data.errors import DatasetError
    from trainer.data.prepare_data import Request, prepare_data
    from trainer.data.quarantine import read_quarantine

    request = Request(dataset, data)
    with _folder(request, options) as folder:
        try:
            _tell(prepare_data(request, folder), options.json)
        except MemoryError:
            problem = "preparing it takes more memory than there is for it"
            return _fail([problem], [], options.json)
        except (DatasetError, OSError) as error:
            return _fail([str(error)], read_quarantine(folder, MOST_BROKEN), options.json)
    return 0


@contextmanager
def _folder(request: Request, options: argparse.Namespace) -> Iterator[Path]:
    """Give the folder to prepare in; that of a check goes away."""
    from trainer.data.find import cache_folder

    if options.check:
        with tempfile.TemporaryDirectory(prefix="fleetform-check-") as folder:
            yield Path(folder) / request.name
    else:
        yield options.out / request.name if options.out else cache_folder(request)


def _tell(folder: Path, as_json: bool) -> None:
    """Print what the folder's data set holds; as JSON with every file's path, size and digest."""
    from trainer.data.dataset import ABOUT, open_dataset
    from trainer.data.quarantine import read_quarantine
    from trainer.data.report import report_lines

    opened = open_dataset(folder)
    if not as_json:
        print(*report_lines(opened.name, opened.digest, opened.report), f"  in {folder}", sep="\n")
        return
    table: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    about = {"name": ABOUT, "sha256": opened.digest, "bytes": (folder / ABOUT).stat().st_size}
    files = [
        {"path": str(folder / file["name"]), "sha256": file["sha256"], "bytes": file["bytes"]}
        for file in (about, *table["files"])
    ]
    told = {"dataset": opened.name, "digest": opened.digest, "files": files, "report": opened.report}
    print(json.dumps(told | {"broken": read_quarantine(folder, MOST_BROKEN)}))


def _fail(problems: Sequence[str], broken: Sequence[dict[str, Any]], as_json: bool) -> int:
    """Say why not, on standard error, and as JSON with the broken rows and files where that is asked for."""
    if as_json:
        print(json.dumps({"problems": list(problems), "broken": list(broken)}))
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return EXIT_USER_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
