"""`python -m node.health`: check this machine now and say what was found. Exit code 1: no job may run here.

`--json` prints the report as a prolog keeps it; `--accept-xids` lets errors of GPUs until now count no more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from node.config import read_node_config
from node.health.checks import look
from node.health.here import accept_xids, this_machine


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="node.health", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--accept-xids", action="store_true")
    given = parser.parse_args(arguments)
    config = read_node_config()
    if given.accept_xids:
        accept_xids(config)
    report = look(this_machine(config))
    if given.json:
        print(json.dumps(report.to_json()))
    else:
        for each in report.checks:
            print(f"{each.name:<12} {each.outcome:<8} {each.detail}")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
