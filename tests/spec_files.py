"""A folder of TOML files for the tests of the specs: a good one that each test spoils in one place."""

from __future__ import annotations

from pathlib import Path

GOOD = """\
name = "{name}"
team = "vision"
owner = "vision@example.com"
region = "us-east-1"
lease_ends = 2026-12-31

[network]
cidr = "{cidr}"

[fleets.gpu]
instance_type = "g5.xlarge"
nodes = 2
max_nodes = 4
"""
ACCOUNT = """\
organization = "acme-ai"
region = "us-east-1"

[limits]
max_nodes_per_environment = 4
"""
LONG_LEASES = """
[lease]
max_days = 3660
"""
"""For an account whose environments' leases end years from now, whenever the tests run."""


def environment_text(called: str = "vision", block: str = "10.20.0.0/16", **edits: str) -> str:
    """Return a good file's text; an edit replaces the line `key = ...`, or drops it where the edit is ""."""
    lines = GOOD.format(name=called, cidr=block).splitlines()
    for key, line in edits.items():
        at = next(number for number, old in enumerate(lines) if old.startswith(f"{key} ="))
        lines[at] = line
    return "\n".join(lines) + "\n"


def write_folder(root: Path, account: str = ACCOUNT, **texts: str) -> Path:
    """Write `environments/` with the account's file and `name=text` for each environment; return it."""
    folder = root / "environments"
    folder.mkdir(exist_ok=True)
    for name, text in {"account": account, **texts}.items():
        (folder / f"{name}.toml").write_text(text)
    return folder
