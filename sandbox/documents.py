"""Systems Manager command documents: parameters checked, filled in, and turned into steps to run.

Follows the schema 2.2 reference, https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_STEP_SECONDS = 3600
"""`timeoutSeconds` of a step that names none."""

RUN_SHELL_SCRIPT: dict[str, Any] = {
    "schemaVersion": "2.2",
    "description": "Run a shell script.",
    "parameters": {
        "commands": {"type": "StringList"},
        "workingDirectory": {"type": "String", "default": ""},
        "executionTimeout": {"type": "String", "default": "3600", "allowedPattern": "^[0-9]{1,6}$"},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "runShellScript",
            "inputs": {
                "runCommand": "{{ commands }}",
                "workingDirectory": "{{ workingDirectory }}",
                "timeoutSeconds": "{{ executionTimeout }}",
            },
        }
    ],
}
"""AWS-RunShellScript, which every account has."""

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z0-9_]+)\s*\}\}")


class InvalidParametersError(Exception):
    """The parameters do not fit the document; the message says which."""


@dataclass(frozen=True)
class Step:
    """One `aws:runShellScript` of a document, ready to run."""

    name: str
    script: str
    folder: str
    """Working directory, "" for the agent's own."""
    timeout_s: float
    exit_on_failure: bool = False
    """`onFailure: exit`; without it the steps after a failed one still run."""


def steps_of(content: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> list[Step]:
    """Return the document's steps with the parameters filled in.

    As in the cloud the values are put in as text and quoted by nobody: `allowedPattern` keeps them harmless.
    Raises InvalidParametersError for an unknown, missing or refused parameter.
    """
    values = _values(content.get("parameters", {}), given)
    steps = []
    for step in content.get("mainSteps", []):
        if step.get("action") != "aws:runShellScript" or _is_for_another_platform(step):
            continue
        inputs = step.get("inputs", {})
        lines = _fill(inputs.get("runCommand", []), values)
        lines = [lines] if isinstance(lines, str) else [str(line) for line in lines]
        seconds = _fill(str(inputs.get("timeoutSeconds", DEFAULT_STEP_SECONDS)), values)
        folder = str(_fill(inputs.get("workingDirectory", ""), values))
        stops = step.get("onFailure", inputs.get("onFailure")) == "exit"
        steps.append(Step(step["name"], "\n".join(lines) + "\n", folder, float(seconds), stops))
    return steps


def _values(declared: Mapping[str, Any], given: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return every declared parameter's value: text, or a list of it for a StringList."""
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise InvalidParametersError(f"the document has no parameter {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for name, rules in declared.items():
        if name not in given:
            if "default" not in rules:
                raise InvalidParametersError(f"the parameter {name} is required")
            values[name] = rules["default"]
            continue
        entries = list(given[name])
        for entry in entries:
            _check(name, rules, entry)
        if rules.get("type") == "StringList":
            values[name] = entries
        elif len(entries) == 1:
            values[name] = entries[0]
        else:
            raise InvalidParametersError(f"the parameter {name} takes one value, not {len(entries)}")
    return values


def _check(name: str, rules: Mapping[str, Any], value: str) -> None:
    """Hold one value against the declaration's rules."""
    if "allowedValues" in rules and value not in rules["allowedValues"]:
        raise InvalidParametersError(f"{name}: {value!r} is not one of {', '.join(rules['allowedValues'])}")
    pattern = rules.get("allowedPattern")
    # `search`, the most generous reading: a pattern without anchors lets everything around it pass.
    if pattern and not re.search(pattern, value):
        raise InvalidParametersError(f"{name}: {value!r} does not match {pattern}")
    if len(value) > int(rules.get("maxChars", len(value))) or len(value) < int(rules.get("minChars", 0)):
        raise InvalidParametersError(f"{name}: {len(value)} characters are too few or too many")
    if rules.get("type") == "Boolean" and value.lower() not in ("true", "false"):
        raise InvalidParametersError(f"{name}: {value!r} is not true or false")
    if rules.get("type") == "Integer" and not re.fullmatch(r"-?\d+", value):
        raise InvalidParametersError(f"{name}: {value!r} is not an integer")


def _fill(template: Any, values: Mapping[str, Any]) -> Any:
    """Put values in place of `{{ Name }}`; in a list, an item that names a list becomes its items."""
    if isinstance(template, list):
        filled: list[Any] = []
        for item in template:
            value = _fill(item, values)
            filled.extend(value if isinstance(value, list) else [value])
        return filled
    if not isinstance(template, str):
        return template
    whole = _PLACEHOLDER.fullmatch(template.strip())
    if whole and isinstance(values.get(whole.group(1)), list):
        return values[whole.group(1)]

    def put(found: re.Match[str]) -> str:
        if found.group(1) not in values:
            return found.group(0)
        value = values[found.group(1)]
        return value if isinstance(value, str) else json.dumps(value)

    return _PLACEHOLDER.sub(put, template)


def _is_for_another_platform(step: Mapping[str, Any]) -> bool:
    platform = step.get("precondition", {}).get("StringEquals", [])
    return "platformType" in platform and "Linux" not in platform
