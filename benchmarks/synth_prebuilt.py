"""The stacks that were synthesized already, once more with the classes of cdktf-cdktf-provider-aws.

`python -m benchmarks.synth_prebuilt FROM OUT` reads `FROM/stacks/*/cdk.tf.json` and makes each resource, data
source, output, provider and backend in it with its prebuilt class, so that both ways make the same things.
Only the submodules of the types that occur are imported, as a careful user would.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", ",".join(map(str, range(12, 40))))

import cdktf
from cdktf_cdktf_provider_aws.provider import AwsProvider

PACKAGE = "cdktf_cdktf_provider_aws"
META = {"lifecycle", "depends_on"}
"""What CDKTF takes of every resource in forms of its own; written as overrides here."""


def prebuilt_class(kind: str, section: str) -> Any:
    """Return the prebuilt class of a type: `aws_vpc`, in the section `resource` or `data`."""
    name = kind.removeprefix("aws_") if section == "resource" else f"data_{kind}"
    base = cdktf.TerraformResource if section == "resource" else cdktf.TerraformDataSource
    module = import_module(f"{PACKAGE}.{name}")
    (found,) = (
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, base) and each.__module__ == module.__name__
    )
    return found


def properties(owner: Any, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments as the constructor of `owner` takes them, with its own structs for blocks."""
    hints = typing.get_type_hints(owner.__init__)
    return {key: _value(hints[key], value) for key, value in body.items()}


def _value(hint: Any, value: Any) -> Any:
    struct = next(_structs(hint), None)
    if isinstance(value, list):
        return [_value(hint, item) for item in value]
    if isinstance(value, Mapping) and struct is not None:
        return struct(**properties(struct, value))
    return value


def _structs(hint: Any) -> Iterator[Any]:
    """Return the provider's own struct classes in an annotation."""
    if inspect.isclass(hint) and hint.__module__.startswith(PACKAGE):
        yield hint
    for argument in typing.get_args(hint):
        yield from _structs(argument)


def build(app: Any, name: str, content: Mapping[str, Any]) -> None:
    """Make one stack of the app as its JSON says."""
    stack = cdktf.TerraformStack(app, name)
    backend = dict(content["terraform"]["backend"]["s3"])
    backend.pop("use_lockfile")
    cdktf.S3Backend(stack, **backend)
    stack.add_override("terraform.backend.s3.use_lockfile", True)
    (provider,) = content["provider"]["aws"]
    AwsProvider(stack, "aws", **properties(AwsProvider, provider))
    for section in ("resource", "data"):
        for kind, named in content.get(section, {}).items():
            for logical_id, body in named.items():
                _element(stack, section, kind, logical_id, body)
    for output, body in content.get("output", {}).items():
        cdktf.TerraformOutput(stack, output, **body)
    if "import" in content:
        stack.add_override("import", content["import"])


def _element(stack: Any, section: str, kind: str, logical_id: str, body: Mapping[str, Any]) -> None:
    if kind == "terraform_remote_state":
        cdktf.DataTerraformRemoteStateS3(stack, logical_id, **body["config"])
        return
    owner = prebuilt_class(kind, section)
    own = {key: value for key, value in body.items() if key not in META and key != "//"}
    element = owner(stack, f"{section}.{kind}.{logical_id}", **properties(owner, own))
    element.override_logical_id(logical_id)
    for key in META & body.keys():
        element.add_override(key, body[key])


def main(source: Path, out: Path) -> None:
    """Make every stack that lies below `source`, and write them below `out`."""
    app = cdktf.App(outdir=str(out))
    for file in sorted(source.glob("stacks/*/cdk.tf.json")):
        build(app, file.parent.name, json.loads(file.read_text(encoding="utf-8")))
    app.synth()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
