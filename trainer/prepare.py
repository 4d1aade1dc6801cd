"""Makes a data set's file: `python -m trainer.prepare NAME --out DIR` prints its path and digest as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from trainer.data.bundled import dataset_names, prepare
from trainer.data.errors import DatasetError
from trainer.digests import file_sha256


def main(arguments: list[str] | None = None) -> int:
    """Prepare one data set; 0 when its file is written, 2 where it cannot be made on this machine."""
    parser = argparse.ArgumentParser(prog="python -m trainer.prepare", description=__doc__)
    parser.add_argument("name", choices=dataset_names())
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the file")
    options = parser.parse_args(arguments)
    try:
        path = prepare(options.name, options.out)
    except (DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    entry = {"path": str(path), "sha256": file_sha256(path), "bytes": path.stat().st_size}
    print(json.dumps({"dataset": options.name, "files": [entry]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
