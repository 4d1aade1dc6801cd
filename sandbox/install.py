"""Hangs the extensions on moto, each on the seam that its own docstring names."""

from __future__ import annotations

from importlib import import_module

from sandbox.parts import Parts

EXTENSIONS: tuple[str, ...] = (
    "instances",
    "interruptions",
    "volumes",
    "auto_scaling",
    "fleets",
    "listings",
    "launch_templates",
    "security_group_rules",
    "placement_groups",
    "endpoint_interfaces",
    "dependencies",
    "capacity_reservations",
    "capacity_blocks",
    "service_quotas",
    "machine_images",
    "security_tokens",
    "run_command",
    "node_sessions",
    "bucket_policy",
    "object_retention",
    "key_listings",
    "version_listings",
    "object_lock",
    "key_rotation",
    "trails",
    "trail_files",
    "serial_console",
    "efs",
    "fsx",
    "fsx_data_repositories",
    "fsx_tasks",
    "tagged_resources",
    "lambda_functions",
    "topics",
    "schedules",
    "log_times",
    "lookups",
    "bills",
    "budgets",
)
"""Modules of `sandbox.extensions`; each has `install(parts)`."""


def install_extensions(parts: Parts) -> None:
    """Install every extension once per process."""
    for name in EXTENSIONS:
        import_module(f"sandbox.extensions.{name}").install(parts)
