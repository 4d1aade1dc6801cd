"""A synthesized stack as checkov can read it, and which resource each line of that copy belongs to.

checkov 3.3.30 drops a whole file that has an `import` block, and passes every policy that is text, which in
Terraform's JSON all are. The copy has no imports, and each policy of a role a second time as the data source
`aws_iam_policy_document`, whose statements checkov does read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import ActError

CONFIGURATION = "cdk.tf.json"
_BLOCKS = ("terraform", "provider", "data", "resource")
"""What checkov has checks for."""
_POLICY_TYPES = ("aws_iam_policy", "aws_iam_role_policy", "aws_iam_group_policy", "aws_iam_user_policy")
"""What holds an identity's policy as JSON text in its argument `policy`. The policies of buckets, keys and
roles (who may assume them) are left out: to be a policy of a thing, they name the thing or `*`."""
_DOCUMENT = "aws_iam_policy_document"
_REFERENCE = f"${{data.{_DOCUMENT}."
"""How a policy begins that is a document in the same stack, which is judged by itself."""
_LISTS = {
    "Action": "actions",
    "NotAction": "not_actions",
    "Resource": "resources",
    "NotResource": "not_resources",
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A resource or a data source in the copy."""

    first: int
    last: int
    """Its lines, counted from 1."""
    address: str
    """The resource that it stands for: a policy that was spelled out stands for the one it was taken from."""
    spelled_out: bool = False


@dataclass(frozen=True, kw_only=True)
class ScanCopy:
    """One stack in the form that is scanned."""

    stack: str
    blocks: tuple[Block, ...]
    places: Mapping[str, str]
    """Address -> the line of our code that made it."""

    @property
    def resources(self) -> tuple[str, ...]:
        """The addresses of the resources that the stack declares, data sources not among them."""
        return tuple(
            block.address
            for block in self.blocks
            if not (block.spelled_out or block.address.startswith("data."))
        )

    def block_at(self, line: int) -> Block | None:
        """Return the block that the line lies in, None outside of all."""
        return next((block for block in self.blocks if block.first <= line <= block.last), None)


def copy_stack(source: Path, target: Path) -> ScanCopy:
    """Write the copy of the synthesized stack in `source` to the folder `target`, of the same name."""
    configuration = json.loads((source / CONFIGURATION).read_text(encoding="utf-8"))
    text = json.dumps(readable(configuration, source.name), indent=2)
    target.mkdir(parents=True)
    (target / CONFIGURATION).write_text(text, encoding="utf-8")
    places = json.loads((source / "sources.json").read_text(encoding="utf-8"))
    return ScanCopy(stack=source.name, blocks=tuple(_blocks(text)), places=places)


def readable(configuration: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the configuration without what checkov cannot read, its roles' policies spelled out."""
    copy = {kind: dict(configuration[kind]) for kind in _BLOCKS if kind in configuration}
    documents = {
        f"{kind}-{name}": {"statement": list(_statements(body["policy"], f"{stack}: {kind}.{name}"))}
        for kind in _POLICY_TYPES
        for name, body in copy.get("resource", {}).get(kind, {}).items()
        if not str(body["policy"]).startswith(_REFERENCE)
    }
    if documents:
        data = copy.setdefault("data", {})
        data[_DOCUMENT] = {**data.get(_DOCUMENT, {}), **documents}
    return copy


def _statements(text: str, where: str) -> Iterator[dict[str, Any]]:
    """Yield the statements of a policy in the form of `aws_iam_policy_document`."""
    try:
        policy = json.loads(text)
    except ValueError as error:
        raise ActError(f"{where}: the policy is no JSON ({error}), so nobody can judge it") from error
    for statement in _as_list(policy["Statement"]):
        block: dict[str, Any] = {"effect": statement["Effect"]}
        block |= {ours: _as_list(statement[name]) for name, ours in _LISTS.items() if name in statement}
        conditions = [
            {"test": test, "variable": variable, "values": _as_list(values)}
            for test, each in statement.get("Condition", {}).items()
            for variable, values in each.items()
        ]
        yield {**block, "condition": conditions} if conditions else block


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _blocks(text: str) -> Iterator[Block]:
    """Yield where each resource and data source stands in JSON that was written with an indent of 2."""
    section = kind = name = ""
    first = 0
    for number, line in enumerate(text.splitlines(), start=1):
        depth = len(line) - len(line.lstrip())
        key = line.strip().partition('": ')[0].lstrip('"')
        if depth == 2 and line.endswith("{"):
            section = key
        elif depth == 4 and line.endswith("{"):
            kind = key
        elif depth == 6 and section in ("resource", "data"):
            if line.rstrip(",").endswith("{}"):
                yield _block(section, kind, key, number, number)
            elif line.endswith("{"):
                name, first = key, number
            elif line.strip(" ,") == "}":
                yield _block(section, kind, name, first, number)


def _block(section: str, kind: str, name: str, first: int, last: int) -> Block:
    origin, separator, inner = name.partition("-")
    if section == "data" and kind == _DOCUMENT and separator and origin in _POLICY_TYPES:
        return Block(first=first, last=last, address=f"{origin}.{inner}", spelled_out=True)
    prefix = "data." if section == "data" else ""
    return Block(first=first, last=last, address=f"{prefix}{kind}.{name}")
