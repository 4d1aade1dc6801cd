"""Tells what a run trains on before it does, and keeps that with the run."""

from __future__ import annotations

import json
from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.data.report import report_lines
from trainer.files.durable import write_durably

FILE = "data.json"


def keep_data_check(data: Dataset, run_dir: Path) -> None:
    """Write the data check as data.json into the run directory, and print it unless it lies there already."""
    described = {"name": data.name, "kind": data.kind, "digest": data.digest, "report": data.report}
    path, text = run_dir / FILE, json.dumps(described, indent=1, sort_keys=True) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    for line in report_lines(data.name, data.digest, data.report):
        print(line, flush=True)
    write_durably(path, text)
