"""A run's model, as far as pages must know it: its config.json, or a refusal where there is none."""

from __future__ import annotations

from typing import Any

from console.pages.seen import SeenRun
from console.web.mistakes import RefusedError
from console.web.visit import Visit


def model_config(visit: Visit, seen: SeenRun) -> dict[str, Any]:
    """Return the model's config.json; raises RefusedError where the run has left no model."""
    config = seen.runs.store.get_json(seen.run.run_id, "model/config.json")
    if config is not None:
        return config
    _ = visit.reader.gettext
    if seen.run.active:
        raise RefusedError(_("This run has no model yet. It writes one at its end."))
    raise RefusedError(_("This run has left no model. Runs of a recipe that finish leave one."))
