"""What stands of an environment's data, held against its file: no edit destroys it without a word.

Terraform's `prevent_destroy` guards a store only as long as its block is there, and a file that no longer
asks for the store leaves the block out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import aws
from fleet.bootstrap import read_state_object
from fleet.estate import open_stack
from fleet.session import Session
from fleet.terraform_events import quiet
from stacks import naming
from stacks.environment import DECLARATION_OUTPUT
from stacks.problems import Problem, UserError

_LUSTRE = "aws_fsx_lustre_file_system"
_STORES = {
    "aws_efs_file_system": ("shared file system", "efs", "efs.enabled"),
    _LUSTRE: ("fast file system", "fsx", "fsx.kind"),
    "aws_s3_bucket": ("bucket", "", ""),
}
"""What holds data: in words, the table that says what becomes of it ("": that of its name), the setting."""


@dataclass(frozen=True)
class _Store:
    """A store that stands."""

    stack: str
    kind: str
    name: str
    """Its name in the stack."""
    attributes: Mapping[str, Any]


def require_same_stores(session: Session) -> None:
    """Raise UserError where what stands cannot become what the file says, whatever anybody wants.

    A fast file system cannot shrink; and organization and region of the account are those of the buckets, as
    the fleet's outputs name them. Where no fleet stands, nobody can tell another organization's environment.
    """
    problems = [*_moved_account(session), *_shrunk(session)]
    if problems:
        raise UserError(problems)


def require_stores_kept(session: Session, anyway: str = "") -> tuple[str, ...]:
    """Raise UserError for every store that stands and is not synthesized, unless `anyway` gives a reason.

    One whose table said `on_teardown = "delete"` when it was built may go, but no fast one change its kind.
    Call it after the synthesis. Returns what was overridden.
    """
    lost = [_lost(session, each) for each in _standing(session) if _goes(session, each)]
    if lost and not anyway:
        raise UserError(lost)
    return tuple(problem.what for problem in lost)


def _goes(session: Session, store: _Store) -> bool:
    synthesized = open_stack(session, store.stack, quiet).configuration().get("resource", {})
    kind_changes = store.kind == _LUSTRE and session.spec.fsx.kind != "none"
    return store.name not in synthesized.get(store.kind, {}) and (
        kind_changes or _on_teardown(session, store) != "delete"
    )


def _lost(session: Session, store: _Store) -> Problem:
    words, _, path = _STORES[store.kind]
    name, spec = store.attributes.get("id", store.name), session.spec.name
    return Problem(
        file=f"environments/{spec}.toml",
        path=path,
        what=f"the {words} {name} stands, and the file has none of its kind: it would be destroyed with all "
        "that is on it",
        do="put the setting back, tear down what holds it first (`fleetform down` says what is kept), or say "
        "--anyway REASON, which destroys it",
    )


def _shrunk(session: Session) -> Iterator[Problem]:
    for store in _standing(session):
        stands = store.attributes.get("storage_capacity")
        same = session.spec.fsx.kind == _lustre_kind(store)
        if store.kind == _LUSTRE and same and int(stands or 0) > session.spec.fsx.size_gib:
            yield Problem(
                file=f"environments/{session.spec.name}.toml",
                path="fsx.size_gib",
                what=f"the fast file system stands with {stands} GiB, and none can shrink",
                do=f"set it back to {stands}, or to a larger size",
            )


def _lustre_kind(store: _Store) -> str:
    """Return the `fsx.kind` that makes it."""
    return "scratch" if str(store.attributes.get("deployment_type")).startswith("SCRATCH") else "persistent"


def _moved_account(session: Session) -> Iterator[Problem]:
    """Compare the ledger's bucket that the standing fleet writes of with the one that the file names."""
    try:
        answer = session.client("ssm").get_parameter(Name=naming.outputs_parameter(session.spec.name))
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return  # no fleet stands, or nobody may look
    bucket = str(json.loads(answer["Parameter"]["Value"]).get("ledger_bucket", ""))
    account = session.account
    if not bucket or bucket == naming.ledger_bucket(account.organization, account.region):
        return
    organization = bucket.partition("-fleetform-")[0]
    same = organization == account.organization
    yield Problem(
        file="environments/account.toml",
        path="region" if same else "organization",
        what=f"{session.spec.name} stands with the ledger {bucket}, and no bucket can be renamed or moved",
        do="set it back, or tear every environment down first",
    )


def _standing(session: Session) -> list[_Store]:
    """Return what the states of the environment's stacks say exists."""
    return [
        _Store(stack, each["type"], each["name"], instance["attributes"])
        for stack in naming.environment_stacks(session.spec.name)
        for each in _state(session, stack).get("resources", ())
        if each["mode"] == "managed" and each["type"] in _STORES
        for instance in each["instances"]
    ]


def _on_teardown(session: Session, store: _Store) -> str:
    """Return what was to become of it when it was built; scratch is nobody's to keep, but never unsaid."""
    fleet = _state(session, naming.fleet_stack(session.spec.name))
    output = fleet.get("outputs", {}).get(DECLARATION_OUTPUT)
    declared = json.loads(output["value"]) if output else {}
    table = _STORES[store.kind][1] or store.name
    return str(declared.get(table, {}).get("on_teardown", "retain"))


def _state(session: Session, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(read_state_object(session.cloud, session.account, stack) or "{}")
    return found
