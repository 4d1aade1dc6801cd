"""Texts about specs: the TOML file that declares one, and the reference page of all their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Line:
    """One setting of a TOML file."""

    comments: tuple[str, ...]
    """What it is, in lines that fit the page."""
    key: str
    value: str
    """The value as TOML."""
    active: bool
    """False for a default that stands as a comment, so that the file goes on following the default."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a TOML file."""

    name: str
    """Dotted name; "" for the settings before the first table."""
    comments: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class SpecFile:
    """A TOML file that declares a spec, every setting explained where it stands."""

    template: ClassVar[str] = "environment/spec.toml.j2"
    intro: tuple[str, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class SettingRow:
    """One setting on the reference page."""

    path: str
    doc: str
    form: str
    unit: str
    default: str
    """The default as TOML; "" where the setting is required."""
    choices: tuple[str, ...]
    change: str
    why: str
    table: bool


@dataclass(frozen=True, kw_only=True)
class InstanceRow:
    """One instance type on the reference page."""

    name: str
    gpus: str
    vcpus: int
    memory_gib: str
    network_gbps: str
    efa: str
    disks: str
    quota: str
    usd_per_hour: str
    price_note: str
    """Where and when the price held, where that is not what the page says of all."""


@dataclass(frozen=True, kw_only=True)
class ReferencePage:
    """docs/environment.md."""

    template: ClassVar[str] = "environment/reference.md.j2"
    environment: tuple[SettingRow, ...]
    account: tuple[SettingRow, ...]
    errors: tuple[str, ...]
    """Rules that stop a command, a sentence each."""
    warnings: tuple[str, ...]
    instances: tuple[InstanceRow, ...]
    price_region: str
    price_date: str
