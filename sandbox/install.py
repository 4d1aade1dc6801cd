"""Hangs the extensions on moto, each on the seam that its own docstring names."""

from __future__ import annotations

from importlib import import_module

from sandbox.nodes import Nodes

EXTENSIONS: tuple[str, ...] = ("bucket_policy", "instances", "run_command")
"""Modules of `sandbox.extensions`; each has `install(nodes)`."""


def install_extensions(nodes: Nodes) -> None:
    """Install every extension once per process."""
    for name in EXTENSIONS:
        import_module(f"sandbox.extensions.{name}").install(nodes)
