"""Verify this copy of the ledger, on any machine that has Python:

    python chain.py FOLDER [--head SEQUENCE:HASH] [--key SHA256]

Exit code 0 when every entry from the first to the last is there, unchanged and linked to the one before,
every signed checkpoint holds, and every other file has the SHA-256 that SHA256SUMS names, where there is one;
else 1 and a line for each finding. A head, and the key's SHA-256, come from a place that you trust: a ticket,
an earlier copy, the account itself. What it does is in `fleet/`, beside this file: short modules.
"""

from __future__ import annotations

import sys
from pathlib import Path


def run() -> int:
    """Verify with the modules that lie beside this file, and with no others of their name."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from fleet.copy_check import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
