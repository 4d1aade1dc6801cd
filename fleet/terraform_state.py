"""What a state says exists: the resources of a stack with their ids, from `terraform state pull`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BACKEND = ".terraform/terraform.tfstate"
"""What `terraform init` notes of a folder's backend; the state itself lies there."""


@dataclass(frozen=True, kw_only=True)
class StateResource:
    """One resource that Terraform manages."""

    address: str
    kind: str
    """Terraform's type: `aws_vpc`."""
    id: str
    name: str = ""
    """The name or Name tag that a person knows it by, "" where it has none."""


def read_state(text: str) -> list[StateResource]:
    """Return the managed resources of a state (format version 4), sorted by address; none for an empty text.

    Attributes other than the id and the name are left behind: a state may hold secrets.
    """
    if not text.strip():
        return []
    found = [
        StateResource(
            address=_address(resource, instance),
            kind=resource["type"],
            id=str(instance["attributes"].get("id", "")),
            name=_name(instance["attributes"]),
        )
        for resource in json.loads(text).get("resources", [])
        if resource["mode"] == "managed"
        for instance in resource["instances"]
    ]
    return sorted(found, key=lambda each: each.address)


def drop_cut_off_backend(folder: Path) -> None:
    """Delete the note of the folder's backend where a full disk has cut it off: no init gets past it.

    It is made anew by the next `terraform init -reconfigure`.
    """
    note = folder / _BACKEND
    try:
        json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except ValueError:
        note.unlink()


def _address(resource: Mapping[str, Any], instance: Mapping[str, Any]) -> str:
    prefix = f"{resource['module']}." if resource.get("module") else ""
    key = instance.get("index_key")
    suffix = "" if key is None else f"[{json.dumps(key)}]"
    return f"{prefix}{resource['type']}.{resource['name']}{suffix}"


def _name(attributes: Mapping[str, Any]) -> str:
    tags = attributes.get("tags_all") or attributes.get("tags") or {}
    named = attributes.get("name") or (tags.get("Name") if isinstance(tags, dict) else "")
    return str(named or "")
