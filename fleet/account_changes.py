"""Whether the account that stands is the one that is declared; `up` applies its stack only when told to."""

from __future__ import annotations

import json
from typing import Any

from fleet.bootstrap import read_state_object
from fleet.session import Session
from fleet.synth import output_folder, stack_folder
from fleet.terraform import CONFIGURATION
from stacks import naming

_DECLARED = "declared"
"""Output of the account's stack: a digest of its file and of what the stack consists of."""


def account_is_behind(session: Session) -> str:
    """Return what to tell where the account stands otherwise than it is synthesized now, else "".

    A look at two digests, without Terraform: what somebody changed by hand it does not see. An account that
    was built before there were digests is behind, too.
    """
    text = read_state_object(session.cloud, session.account, naming.ACCOUNT_STACK)
    if not text or _output(json.loads(text)) == _output(_synthesized(session)):
        return ""
    name = session.spec.name
    return (
        "account.toml, or fleetform itself, has changed since the account was built; "
        f"`fleetform plan {name}` shows it, `fleetform up {name} --account` applies it"
    )


def _synthesized(session: Session) -> dict[str, Any]:
    file = stack_folder(output_folder(session), naming.ACCOUNT_STACK) / CONFIGURATION
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _output(content: dict[str, Any]) -> str:
    """Return the digest in a state or in a synthesized stack, "" where it has none."""
    return str(content.get("output", content.get("outputs", {})).get(_DECLARED, {}).get("value", ""))
