"""A place of our own on moto's backends, for what the extensions remember."""

from __future__ import annotations

from typing import Any


def store(backend: Any, name: str) -> dict[str, Any]:
    """Return a dictionary of our own on one of moto's backends: one per account and region."""
    kept: dict[str, Any] = backend.__dict__.setdefault(f"fleetform_{name}", {})
    return kept
