"""The entry-path tables of environments as they are declared: every way into their machines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.project import Project
from fleet.synth import stack_folder, synthesize_all
from stacks import naming
from stacks.entry_paths import TABLE_FILE


def entry_tables(project: Project, environments: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Synthesize the environments and return the rows of each one's table; no cloud is asked.

    Raises UserError where Node.js is missing, SynthesisError where a way in would be open unseen.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="fleetform-") as folder:
        out = synthesize_all(project, environments, Path(folder) / "cdktf.out")
        for name in environments:
            file = stack_folder(out, naming.fleet_stack(name)) / TABLE_FILE
            tables[name] = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return tables
