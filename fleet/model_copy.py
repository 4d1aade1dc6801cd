"""A run's model on this machine, every file verified: for whoever lets it answer."""

from __future__ import annotations

from pathlib import Path

from fleet.fetch import fetch
from fleet.lineage import FOLDER, model_files
from fleet.project import Project
from fleet.run_store import RunStore
from fleet.runs import read_run


def bring_model(project: Project, store: RunStore, run_id: str) -> Path:
    """Return the folder of a run's model in the project's working folder; what is there is not copied again.

    Raises UserError where there is no such run or model, ActError where a file is not what its node
    uploaded.
    """
    model_files(store, read_run(store, run_id))
    folder = project.home / "models" / store.bucket / run_id
    fetch(store, run_id, folder, only=FOLDER)
    return folder / FOLDER
