"""Looks at data before anybody says what to learn from it: `python -m trainer.look KIND PATH [--count N]`.

A bundled data set is looked at by `python -m trainer.look known NAME`. The answer is JSON, and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from trainer.configs.data import BUNDLED_SHAPES
from trainer.configs.settings import ConfigError
from trainer.limits import add_limits, limit_process

EXIT_USER_MISTAKE = 2
KINDS = ("pictures", "table", "text")
KNOWN = "known"


def main(arguments: Sequence[str] | None = None) -> int:
    """Look, and print what there is; 2, with `problems` in the answer, where it cannot be looked at."""
    parser = argparse.ArgumentParser(prog="python -m trainer.look", description=__doc__)
    parser.add_argument("kind", choices=(*KINDS, KNOWN), help="what the files are to be taken for")
    parser.add_argument("path", help="a file, a folder, s3://bucket/prefix, or a bundled data set's name")
    parser.add_argument("--count", type=int, default=12, metavar="N", help="items to show (default 12)")
    add_limits(parser)
    options = parser.parse_args(arguments)
    limit_process(options)
    if options.kind == KNOWN and options.path not in BUNDLED_SHAPES:
        return _fail(f"there is no data set {options.path!r}; known: {', '.join(sorted(BUNDLED_SHAPES))}")
    try:
        import numpy  # noqa: F401
    except ImportError:
        return _fail("to look at data: pip install numpy")
    return _look(options.kind, options.path, options.count)


def _look(kind: str, path: str, count: int) -> int:
    from trainer.data.errors import DatasetError
    from trainer.data.look import look_at
    from trainer.data.look_bundled import look_at_bundled

    try:
        told = look_at_bundled(path, count) if kind == KNOWN else look_at(kind, path, count)
    except MemoryError:
        return _fail("looking at it takes more memory than there is for it")
    except (DatasetError, ConfigError, OSError) as error:
        return _fail(str(error))
    print(json.dumps(told))
    return 0


def _fail(problem: str) -> int:
    print(json.dumps({"problems": [problem]}))
    print(f"error: {problem}", file=sys.stderr)
    return EXIT_USER_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
