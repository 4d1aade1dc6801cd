"""The table of the engine's dials in docs/training.md, made from the docstrings of RunSettings.

`python -m tests.dial_table` prints it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json

from trainer.configs.settings import INCIDENTAL, RunSettings


def dial_docstrings() -> dict[str, str]:
    """Return the docstring below each field of RunSettings, on one line."""
    body = ast.parse(inspect.getsource(RunSettings)).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name) and isinstance(text.value, ast.Constant)
            found[field.target.id] = " ".join(str(text.value.value).split())
    return found


def dial_table() -> str:
    """Return the table: name, default, whether a checkpoint keeps to it, what it does."""
    texts = dial_docstrings()
    rows = [
        f"| `{field.name}` | `{json.dumps(field.default)}` | {'' if field.name in INCIDENTAL else 'yes'} "
        f"| {texts[field.name]} |"
        for field in dataclasses.fields(RunSettings)
    ]
    return "\n".join(["| dial | default | kept to | what it does |", "|---|---|---|---|", *rows])


if __name__ == "__main__":
    print(dial_table())
