"""Every setting of a run as TOML, with where its value is from."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.config import Config, recipe_file
from trainer.configs.tables import apply_overrides


def config_text(config: Config, recipe: str, overrides: Sequence[str]) -> str:
    """Return the configuration as TOML that `python -m trainer FILE.toml` reads back.

    Each line ends in a comment: `default`, the recipe's name, or `command line`.
    """
    written = tomllib.loads(recipe_file(recipe).read_text(encoding="utf-8"))
    given = apply_overrides({}, overrides, [])
    table = config.to_dict()
    lines = [
        line(key, value, origin(key, written, given, config.recipe))
        for key, value in table.items()
        if not isinstance(value, dict)
    ]
    for section, inner in table.items():
        if isinstance(inner, dict):
            known = written.get(section, {}), given.get(section, {})
            lines += ["", f"[{section}]"]
            lines += [line(key, value, origin(key, *known, config.recipe)) for key, value in inner.items()]
    return "\n".join(lines) + "\n"


def origin(key: str, written: Mapping[str, Any], given: Mapping[str, Any], recipe: str) -> str:
    """Return where a key's value is from."""
    if key in given:
        return "command line"
    return recipe if key in written else "default"


def line(key: str, value: Any, source: str) -> str:
    """Return a setting as a line of TOML; a value that is not there is left out but for its name."""
    if value is None:
        return f"# {key} is not set  # {source}"
    return f"{key} = {json.dumps(value)}  # {source}"
