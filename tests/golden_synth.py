"""What tests/golden/synth/ is made from. `python -m tests.golden_synth` rewrites it; read the difference."""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from stacks.app import read_declarations, synthesize
from stacks.bundle import Bundle

GOLDEN = Path(__file__).parent / "golden" / "synth"
ENVIRONMENTS = GOLDEN / "environments"
STACKS = ("account", "vision-base", "vision-fleet")
BUNDLE = Bundle(data=b"the golden bundle", sha256="0" * 64)
"""Stands for the real one, so that the golden files do not change with every line of node/ and trainer/."""


def synthesize_golden(out: Path) -> None:
    """Synthesize the golden environment below `out`."""
    account, specs = read_declarations(ENVIRONMENTS, ["vision"])
    synthesize(account, specs, BUNDLE, out)


def stack_text(out: Path, stack: str) -> str:
    """Return the text of a synthesized stack."""
    return (out / "stacks" / stack / "cdk.tf.json").read_text(encoding="utf-8")


def stack_json(out: Path, stack: str) -> dict[str, Any]:
    """Return a synthesized stack."""
    content: dict[str, Any] = json.loads(stack_text(out, stack))
    return content


def resources(out: Path, stack: str, kind: str) -> dict[str, Any]:
    """Return a synthesized stack's resources of a kind, by name."""
    found: dict[str, Any] = stack_json(out, stack)["resource"][kind]
    return found


def user_data(out: Path, stack: str = "vision-fleet") -> dict[str, str]:
    """Return the script of each machine of a stack by its name."""
    templates = stack_json(out, stack).get("resource", {}).get("aws_launch_template", {})
    return {name: base64.b64decode(each["user_data"]).decode() for name, each in templates.items()}


def golden_files(out: Path) -> dict[str, str]:
    """Return the text of every golden file by its name, from what was synthesized below `out`."""
    texts = {f"{stack}.tf.json": stack_text(out, stack) for stack in STACKS}
    texts |= {f"user-data-{name}.sh": text for name, text in user_data(out).items()}
    return texts


def main() -> int:
    """Rewrite the golden files."""
    with tempfile.TemporaryDirectory() as folder:
        synthesize_golden(Path(folder))
        for name, text in golden_files(Path(folder)).items():
            (GOLDEN / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
