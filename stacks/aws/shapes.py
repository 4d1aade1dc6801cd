"""From the provider's schema to shapes: the typed dictionaries that the generator writes down."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PRIMITIVES = {"string": "str", "number": "int | float | Ref", "bool": "bool | Ref"}
_META = frozenset({"depends_on", "lifecycle", "provider", "count", "for_each"})
"""Names that Terraform keeps for itself in every resource."""


@dataclass(frozen=True)
class Field:
    """One argument."""

    name: str
    annotation: str
    """Its type as Python source, without Required or NotRequired."""
    required: bool
    doc: str
    """The schema's own description, "" where it has none."""
    nested: Shape | None = None


@dataclass(frozen=True)
class Shape:
    """One block (or object): the arguments it takes, sorted by name."""

    name: str
    doc: str
    fields: tuple[Field, ...]

    def nested_first(self) -> Iterator[Shape]:
        """Return the shapes within, each after those that it refers to; not this one."""
        for field in self.fields:
            if field.nested is not None:
                yield from field.nested.nested_first()
                yield field.nested


def camel(name: str) -> str:
    """Return `launch_template` as `LaunchTemplate`."""
    return "".join(part.capitalize() for part in name.split("_"))


def is_simple(attribute: Mapping[str, Any]) -> bool:
    """Tell whether an attribute is a text, a number or a truth value: a plain reference is one too."""
    return isinstance(attribute.get("type"), str)


def top_level(name: str, block: Mapping[str, Any], deprecated: Collection[str] = ()) -> Shape:
    """Return the shape of a type's own arguments.

    Left out are `id` and `tags_all`, which are the provider's to set, and what the provider calls deprecated,
    unless it is one of the blocks named in `deprecated`.
    """
    blocks = {
        key: {**kind, "block": {**kind["block"], "deprecated": key not in deprecated}}
        if kind["block"].get("deprecated")
        else kind
        for key, kind in block.get("block_types", {}).items()
    }
    own = {
        **block,
        "attributes": _without(block.get("attributes", {}), "id", "tags_all"),
        "block_types": blocks,
    }
    shape = _block(name, f"Arguments of {name.removesuffix('Arguments')}.", own)
    clash = _META & {field.name for field in shape.fields}
    assert not clash, f"{name} has arguments that Terraform keeps for itself: {clash}"
    return shape


def _without(attributes: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {
        key: value for key, value in attributes.items() if key not in names or value.get("required", False)
    }


def _block(name: str, doc: str, block: Mapping[str, Any]) -> Shape:
    fields = []
    for key, attribute in block.get("attributes", {}).items():
        required = bool(attribute.get("required"))
        if required or (attribute.get("optional") and not attribute.get("deprecated")):
            annotation, nested = _type(name, key, attribute["type"])
            fields.append(Field(key, annotation, required, attribute.get("description", ""), nested))
    for key, kind in block.get("block_types", {}).items():
        if not kind["block"].get("deprecated"):
            fields.append(_nested_block(name, key, kind))
    return Shape(name, doc, tuple(sorted(fields, key=lambda field: field.name)))


def _nested_block(owner: str, key: str, kind: Mapping[str, Any]) -> Field:
    name = owner.removesuffix("Arguments") + camel(key)
    nested = _block(name, f"The block `{key}`.", kind["block"])
    # A list or set of at most one is written as the block itself, as `timeouts` always is.
    alone = kind["nesting_mode"] == "single" or kind.get("max_items") == 1
    annotation = name if alone else f"Sequence[{name}]"
    return Field(key, annotation, kind.get("min_items", 0) > 0, kind["block"].get("description", ""), nested)


def _type(owner: str, key: str, kind: Any) -> tuple[str, Shape | None]:
    """Return an attribute's type as Python source, and the shape of the objects in it if there are any."""
    if isinstance(kind, str):
        return _PRIMITIVES[kind], None
    outer, inner = kind
    if outer == "object":
        name = owner.removesuffix("Arguments") + camel(key)
        # Terraform wants every key of an object that stands in an attribute.
        fields = [Field(k, _type(name, k, v)[0], True, "") for k, v in sorted(inner.items())]
        return name, Shape(name, f"An object of `{key}`.", tuple(fields))
    annotation, nested = _type(owner, key, inner)
    return (f"Mapping[str, {annotation}]" if outer == "map" else f"Sequence[{annotation}]"), nested
