"""The six golden environments, which between them use everything that a file can declare.

`python -m tests.golden_environments` rewrites what they synthesize to; read the difference.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from stacks import naming
from stacks.app import read_declarations, synthesize
from stacks.entry_paths import TABLE_FILE, as_text
from stacks.environment import environment_files
from tests.golden_synth import BUNDLE, stack_text, user_data

GOLDEN = Path(__file__).parent / "golden" / "environments"
DECLARED = GOLDEN / "declared"
NAMES = tuple(file.stem for file in environment_files(DECLARED))


def stack_names() -> Iterator[str]:
    """Yield the account's stack and both of every environment."""
    yield naming.ACCOUNT_STACK
    for name in NAMES:
        yield from naming.environment_stacks(name)


def synthesize_all(out: Path) -> None:
    """Synthesize all six below `out`, with a bundle that does not change with our code."""
    account, specs = read_declarations(DECLARED, NAMES)
    synthesize(account, specs, BUNDLE, out)


def golden_texts(out: Path) -> dict[str, str]:
    """Return the text of every golden file by its name, from what was synthesized below `out`."""
    texts: dict[str, str] = {}
    for stack in stack_names():
        texts[f"{stack}.tf.json"] = stack_text(out, stack)
        for name, script in user_data(out, stack).items():
            texts[f"{stack}-{name}.user-data.sh"] = script
    for name in NAMES:
        table = json.loads(
            (out / "stacks" / naming.fleet_stack(name) / TABLE_FILE).read_text(encoding="utf-8")
        )
        texts[f"{name}.entry-paths.txt"] = as_text(table["rows"]) + "\n"
    return texts


def main() -> int:
    """Rewrite the golden files; one that nothing makes any more is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        synthesize_all(Path(folder))
        texts = golden_texts(Path(folder))
    for old in (file for file in GOLDEN.iterdir() if file.is_file() and file.name not in texts):
        old.unlink()
    for name, text in texts.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
