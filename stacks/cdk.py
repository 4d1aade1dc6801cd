"""The one door to CDKTF: an app of Terraform stacks, with the place in our code of everything in them.

CDKTF is archived upstream; FLEETFORM_CDK=cdktn takes its successor instead, and the stacks come out the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# jsii, under CDKTF, prints a banner on a Node release past its end of life; CDKTF runs on all of these.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", ",".join(map(str, range(12, 40))))
for _kind in ("UNTESTED", "DEPRECATED"):
    os.environ.setdefault(f"JSII_SILENCE_WARNING_{_kind}_NODE_VERSION", "1")

if os.environ.get("FLEETFORM_CDK", "cdktf") == "cdktn":
    import cdktn as cdktf
else:
    import cdktf

_PACKAGE_ROOT = Path(__file__).resolve().parent.parent
_LAYER = (str(Path(__file__).resolve()), str(Path(__file__).resolve().parent / "aws") + os.sep)
"""Files that make an element for somebody else, who is the place to name."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Where a stack's state lies: an S3 object, locked by S3 itself."""

    bucket: str
    key: str
    region: str


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The AWS provider of a stack."""

    source: str
    version: str
    """Version constraint; the pin of stacks/aws/types.toml."""
    region: str
    default_tags: Mapping[str, str]


class App:
    """All stacks of one synthesis."""

    def __init__(self, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self._app = cdktf.App(outdir=str(out))
        self._stacks: list[Stack] = []

    def stack(self, name: str, backend: Backend, provider: Provider) -> Stack:
        """Return a new stack of this app."""
        stack = Stack(cdktf.TerraformStack(self._app, name), name, self.out, backend, provider)
        self._stacks.append(stack)
        return stack

    def synth(self) -> None:
        """Write `stacks/<name>/cdk.tf.json` of every stack, and `sources.json` beside it."""
        self._app.synth()
        for stack in self._stacks:
            text = json.dumps(stack.sources, indent=2, sort_keys=True) + "\n"
            (stack.folder / "sources.json").write_text(text, encoding="utf-8")


class Stack:
    """One Terraform stack: what the typed layer puts its resources in."""

    def __init__(self, construct: Any, name: str, out: Path, backend: Backend, provider: Provider) -> None:
        self.name = name
        self.folder = out / "stacks" / name
        """Where the stack is written and Terraform runs."""
        self.sources: dict[str, str] = {}
        """Address -> the line of our code that made it, `stacks/network.py:42`."""
        self._imports: list[dict[str, str]] = []
        self._construct = construct
        cdktf.S3Backend(
            construct,
            bucket=backend.bucket,
            key=backend.key,
            region=backend.region,
            encrypt=True,
        )
        # CDKTF 0.21 does not know S3's own lock yet.
        construct.add_override("terraform.backend.s3.use_lockfile", True)
        self._provider = provider
        self._providers: dict[str, str] = {}
        self.provider_in(provider.region)

    def provider_in(self, region: str) -> str:
        """Return what `provider=` takes to make something in that region; made once for each region."""
        if region in self._providers:
            return self._providers[region]
        alias = f"in_{region.replace('-', '_')}" if self._providers else ""
        aws = cdktf.TerraformProvider(
            self._construct,
            alias or "aws",
            terraform_resource_type="aws",
            terraform_provider_source=self._provider.source,
            terraform_generator_metadata={
                "provider_name": "aws",
                "provider_version": self._provider.version,
                "provider_version_constraint": self._provider.version,
            },
        )
        if alias:
            aws.add_override("alias", alias)
        aws.add_override("region", region)
        aws.add_override("default_tags", [{"tags": dict(self._provider.default_tags)}])
        self._providers[region] = f"aws.{alias}" if alias else "aws"
        return self._providers[region]

    def resource(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Add the resource `kind.name` with these arguments, in Terraform's own JSON form."""
        address = f"{kind}.{name}"
        element = cdktf.TerraformResource(self._construct, address, terraform_resource_type=kind)
        self._fill(element, address, name, body)

    def data_source(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Add the data source `data.kind.name` with these arguments."""
        address = f"data.{kind}.{name}"
        element = cdktf.TerraformDataSource(self._construct, address, terraform_resource_type=kind)
        self._fill(element, address, name, body)

    def take_over(self, address: str, identity: str) -> None:
        """Import what exists under that id as the resource at this address, if the state lacks it."""
        self._imports.append({"to": address, "id": identity})
        self._construct.add_override("import", self._imports)

    def output(self, name: str, value: str, description: str) -> None:
        """Add an output of the stack; other stacks read it through `remote_output`."""
        cdktf.TerraformOutput(self._construct, name, value=value, description=description)

    def read_state_of(self, other: Stack, backend: Backend) -> None:
        """Let this stack read the other's outputs from its state, and be applied after it."""
        self._construct.add_dependency(other._construct)
        cdktf.DataTerraformRemoteStateS3(
            self._construct,
            "base",
            bucket=backend.bucket,
            key=backend.key,
            region=backend.region,
        )

    def _fill(self, element: Any, address: str, name: str, body: Mapping[str, Any]) -> None:
        # In Terraform two types may share a name, in the construct tree not: there the address is the id.
        element.override_logical_id(name)
        called = element.friendly_unique_id
        assert called == name, f"CDKTF calls it {called}, so references to {address} would dangle"
        self.sources[address] = _caller()
        for key, value in sorted(body.items()):
            element.add_override(key, _plain(value))


def _plain(value: Any) -> Any:
    """Return the value in the types that jsii can hand to CDKTF: no tuples, no subclasses of text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return value


def _caller() -> str:
    """Return the place outside the typed layer that is making an element, `stacks/network.py:42`."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_LAYER):
        frame = frame.f_back
    file = Path(frame.f_code.co_filename)
    inside = file.is_relative_to(_PACKAGE_ROOT)
    return f"{file.relative_to(_PACKAGE_ROOT).as_posix() if inside else file.name}:{frame.f_lineno}"
