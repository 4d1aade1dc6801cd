"""What an edit of an environment's file changes: setting by setting, against what stands was declared as."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from stacks.environment import EnvironmentSpec
from stacks.fields import Change, FieldDoc, Spec, field_doc, nested_spec


@dataclass(frozen=True, kw_only=True)
class SettingChange:
    """One setting whose value the file has changed."""

    path: str
    """Dotted path in the file: `fleets.gpu.nodes`, or `fleets.gpu` for a fleet added or taken out."""
    old: Any
    """What stands, as JSON has it; None for a table that was added."""
    new: Any
    """What the file says; None for a table that was taken out."""
    change: Change
    """What changing it does: `free`, `new machines only` or `refused`."""
    why: str
    """The reason, "" where it is obvious."""

    @property
    def fleet(self) -> str:
        """The fleet that it is a setting of, "" for any other."""
        first, _, rest = self.path.partition(".")
        return rest.split(".")[0] if first == "fleets" else ""

    @property
    def setting(self) -> str:
        """The setting's own name, the last part of the path."""
        return self.path.rpartition(".")[2]

    @property
    def whole_table(self) -> bool:
        """Whether a whole table was added or taken out."""
        return isinstance(self.old, Mapping) or isinstance(self.new, Mapping)


def setting_changes(declared: Mapping[str, Any], spec: EnvironmentSpec) -> list[SettingChange]:
    """Return what `spec` says differently from a declaration (`EnvironmentSpec.declaration`, as data).

    A setting that an older fleetform did not know yet counts as its default of today; one that this
    fleetform no longer knows is left out, and so is what no declaration holds.
    """
    return list(_changes(type(spec), declared, json.loads(spec.declaration()), ""))


def _changes(
    model: type[Spec], old: Mapping[str, Any], new: Mapping[str, Any], prefix: str
) -> Iterator[SettingChange]:
    for name, info in model.model_fields.items():
        if name not in new:
            continue
        path = f"{prefix}{name}"
        doc = field_doc(info, path)
        was = old[name] if name in old else to_jsonable_python(doc.default)
        nested, by_name = nested_spec(info)
        if nested is None:
            if was != new[name]:
                yield _change(doc, path, was, new[name])
        elif by_name:
            yield from _tables(nested, doc, was or {}, new[name])
        else:
            yield from _changes(nested, was or {}, new[name], f"{path}.")


def _tables(
    model: type[Spec], doc: FieldDoc, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[SettingChange]:
    """Yield the changes of tables by name, such as the fleets."""
    for name in sorted({*old, *new}):
        path = f"{doc.path}.{name}"
        if name in old and name in new:
            yield from _changes(model, old[name], new[name], f"{path}.")
        else:
            yield _change(doc, path, old.get(name), new.get(name))


def _change(doc: FieldDoc, path: str, old: Any, new: Any) -> SettingChange:
    return SettingChange(path=path, old=old, new=new, change=doc.change, why=doc.why)
