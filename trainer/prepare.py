"""Prepares data to train on: `python -m trainer.prepare RECIPE_OR_TOML [key=value ...] [--check]`.

A bundled data set can be named itself. Without --out it goes where training looks: this machine's cache.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import ConfigError, load_config
from trainer.configs.data import BUNDLED_SHAPES, DataConfig

EXIT_USER_MISTAKE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the data; 0 when it is there, 2 where it cannot be made on this machine."""
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    parser.add_argument("name", help=f"a recipe, a .toml file, or one of {', '.join(BUNDLED_SHAPES)}")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the recipe")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to make the data set's folder")
    parser.add_argument("--check", action="store_true", help="look the data through and keep nothing")
    parser.add_argument("--json", action="store_true", help="print what was prepared as JSON")
    options = parser.parse_args(arguments)
    try:
        if options.name in BUNDLED_SHAPES and not options.overrides:
            return run(options.name, None, options)
        config = load_config(options.name, options.overrides)
        return run(config.dataset, config.data, options)
    except ConfigError as error:
        return _fail(*error.problems)


def run(dataset: str, data: DataConfig | None, options: argparse.Namespace) -> int:
    """Prepare a bundled data set or the user's data, and tell what it holds."""
    try:
        import numpy  # noqa: F401
    except ImportError:
        return _fail("to prepare data: pip install numpy")
    from trainer.data.errors import DatasetError
    from trainer.data.find import cache_folder
    from trainer.data.prepare_data import Request, prepare_data

    request = Request(dataset, data)
    try:
        if options.check:
            with tempfile.TemporaryDirectory(prefix="fleetform-check-") as folder:
                _tell(prepare_data(request, Path(folder) / request.name), options.json)
        elif options.out:
            _tell(prepare_data(request, options.out / request.name), options.json)
        else:
            _tell(prepare_data(request, cache_folder(request)), options.json)
    except (DatasetError, OSError) as error:
        return _fail(str(error))
    return 0


def _tell(folder: Path, as_json: bool) -> None:
    """Print what the folder's data set holds; as JSON with every file's path, size and digest."""
    from trainer.data.dataset import ABOUT, open_dataset
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
    print(json.dumps(told))


def _fail(*problems: str) -> int:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return EXIT_USER_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
