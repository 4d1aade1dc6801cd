"""No edit of a file destroys what an environment stores, or leaves its account, without a word."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from fleet import aws
from fleet.bootstrap import ensure_account
from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import Session
from fleet.standing import require_same_network, require_same_region
from fleet.standing_scheduler import require_same_scheduler
from fleet.standing_stores import require_same_stores, require_stores_kept
from fleet.synth import output_folder
from stacks import naming
from stacks.account import AccountSpec, load_account
from stacks.app import synthesize
from stacks.environment import EnvironmentSpec, load_environment
from stacks.fields import documented
from stacks.problems import Problem, UserError
from tests.golden_synth import BUNDLE
from tests.spec_files import ACCOUNT, environment_text, write_folder
from tests.test_standing import COUNTED, resource

pytestmark = pytest.mark.sandbox
SHARED = {"aws_efs_file_system.shared": {"id": "fs-shared"}}
FAST = {
    "aws_fsx_lustre_file_system.fast": {
        "id": "fs-fast",
        "deployment_type": "PERSISTENT_2",
        "storage_capacity": 2400,
    }
}
SCRATCH = {
    "aws_fsx_lustre_file_system.fast": {
        "id": "fs-scratch",
        "deployment_type": "SCRATCH_2",
        "storage_capacity": 2400,
    }
}
EFS_ON = "[efs]\nenabled = true\n"
PERSISTENT = '[fsx]\nkind = "persistent"\nsize_gib = 2400\n'


def opened(
    sandbox: Cloud,
    root: Path,
    text: str,
    base: dict[str, Any],
    fleet: dict[str, Any] | None = None,
    declared: dict[str, Any] | None = None,
) -> Session:
    """Return the session of an environment that stands so, was declared so, and whose file says `text`."""
    root.mkdir(exist_ok=True)
    name = f"s{uuid.uuid4().hex[:8]}"
    account_text = ACCOUNT.replace("acme-ai", f"o{name}")
    folder = write_folder(root, account_text, **{name: environment_text(name) + text})
    account = load_account(folder)
    ensure_account(sandbox, account)
    output = {"declaration": {"value": json.dumps(declared)}} if declared is not None else {}
    for stack, stands, outputs in (("base", base, {}), ("fleet", fleet or {}, output)):
        resources = [resource(address, attributes) for address, attributes in stands.items()]
        aws.client(sandbox, "s3", account.region).put_object(
            Bucket=naming.state_bucket(account.organization, account.region),
            Key=naming.state_key(f"{name}-{stack}"),
            Body=json.dumps({"version": 4, "resources": resources, "outputs": outputs}).encode(),
        )
    spec = load_environment(folder / f"{name}.toml")
    session = Session(Project(root, root / "home"), sandbox, account, spec)
    synthesize(account, [spec], BUNDLE, output_folder(session))
    return session


def refused(session: Session) -> tuple[Problem, ...]:
    """Return why it is refused."""
    with pytest.raises(UserError) as caught:
        require_stores_kept(session)
    return tuple(caught.value.problems)


def test_a_file_that_leaves_its_stores_out_is_refused_for_each_of_them(
    sandbox: Cloud, tmp_path: Path
) -> None:
    session = opened(sandbox, tmp_path, "", {**COUNTED, **SHARED, **FAST})
    problems = refused(session)
    assert {each.path for each in problems} == {"efs.enabled", "fsx.kind"}
    assert any("fs-shared stands" in each.what for each in problems)
    assert len(require_stores_kept(session, "the data is elsewhere")) == 2


def test_a_file_that_keeps_its_stores_goes_on(sandbox: Cloud, tmp_path: Path) -> None:
    session = opened(sandbox, tmp_path, EFS_ON + PERSISTENT, {**COUNTED, **SHARED, **FAST})
    require_same_stores(session)
    assert require_stores_kept(session) == ()


def test_what_was_declared_to_be_deleted_may_go_and_what_the_new_file_says_of_it_counts_not(
    sandbox: Cloud, tmp_path: Path
) -> None:
    declared = {"efs": {"on_teardown": "delete"}}
    assert require_stores_kept(opened(sandbox, tmp_path / "a", "", SHARED, {}, declared)) == ()
    text = '[efs]\nenabled = false\non_teardown = "delete"\n'
    declared = {"efs": {"on_teardown": "retain"}}
    assert refused(opened(sandbox, tmp_path / "b", text, SHARED, {}, declared))


def test_a_fast_file_system_changes_its_kind_neither_way(sandbox: Cloud, tmp_path: Path) -> None:
    declared = {"fsx": {"on_teardown": "delete"}}
    scratch = PERSISTENT.replace("persistent", "scratch")
    (problem,) = refused(opened(sandbox, tmp_path / "a", scratch, FAST, {}, declared))
    assert problem.path == "fsx.kind" and "fs-fast" in problem.what
    (problem,) = refused(opened(sandbox, tmp_path / "b", PERSISTENT, {}, SCRATCH, declared))
    assert problem.path == "fsx.kind" and "fs-scratch" in problem.what


@pytest.mark.parametrize(("gib", "allowed"), [(1200, False), (2400, True), (4800, True)])
def test_a_fast_file_system_grows_and_never_shrinks(
    sandbox: Cloud, tmp_path: Path, gib: int, allowed: bool
) -> None:
    session = opened(sandbox, tmp_path, PERSISTENT.replace("2400", str(gib)), FAST)
    if allowed:
        require_same_stores(session)
    else:
        with pytest.raises(UserError, match="stands with 2400 GiB, and none can shrink"):
            require_same_stores(session)


@pytest.mark.parametrize(
    ("organization", "region", "path"),
    [("acme-else", "us-east-1", "organization"), ("", "eu-west-1", "region")],
)
def test_an_environment_of_another_account_file_is_told_by_its_fleets_outputs(
    sandbox: Cloud, tmp_path: Path, organization: str, region: str, path: str
) -> None:
    session = opened(sandbox, tmp_path, "", {})
    ledger = naming.ledger_bucket(organization or session.account.organization, region)
    name, ssm = naming.outputs_parameter(session.spec.name), session.client("ssm")
    ssm.put_parameter(Name=name, Type="String", Value=json.dumps({"ledger_bucket": ledger}))
    try:
        with pytest.raises(UserError) as caught:
            require_same_stores(session)
    finally:
        ssm.delete_parameter(Name=name)
    assert [each.path for each in caught.value.problems] == [path]


@pytest.mark.parametrize(
    ("stands", "says", "path"),
    [
        ({"kind": "plain"}, "", "scheduler.kind"),
        (None, "", "scheduler.kind"),
        ({"kind": "slurm"}, '[scheduler]\nkind = "plain"\n', "scheduler.kind"),
        ({"kind": "slurm", "accounting": False}, "", "scheduler.accounting"),
        ({"kind": "slurm", "state_volume_gib": 40}, "", "scheduler.state_volume_gib"),
    ],
)
def test_another_queue_is_refused_while_its_machines_stand(
    sandbox: Cloud, tmp_path: Path, stands: dict[str, Any] | None, says: str, path: str
) -> None:
    """None is a fleet from before there was a queue, whose runs waited by themselves."""
    declared = {"scheduler": stands} if stands else {"efs": {}}
    session = opened(sandbox, tmp_path, says, COUNTED, declared=declared)
    with pytest.raises(UserError) as caught:
        require_same_scheduler(session)
    (problem,) = caught.value.problems
    assert problem.path == path and "fleetform down" in problem.do


def test_the_queue_that_stands_is_the_files_where_they_agree_or_no_fleet_stands(
    sandbox: Cloud, tmp_path: Path
) -> None:
    says = "[scheduler]\nidle_minutes = 3\n[scheduler.teams.blue]\n"
    same = {"kind": "slurm", "accounting": True, "state_volume_gib": 20, "idle_minutes": 10}
    require_same_scheduler(opened(sandbox, tmp_path / "a", says, COUNTED, declared={"scheduler": same}))
    require_same_scheduler(opened(sandbox, tmp_path / "b", says, COUNTED))


def test_every_setting_that_is_documented_as_refused_has_something_that_refuses_it() -> None:
    network = ("cidr", "zones", "zone_names", "vpc_id", "subnet_ids")
    queue = ("kind", "accounting", "state_volume_gib")
    refusals = {
        "name": load_environment,  # another name is another file, and that another environment
        "region": require_same_region,
        "fsx.kind": require_stores_kept,
        "network": require_same_network,
        **{f"network.{name}": require_same_network for name in network},
        **{f"scheduler.{name}": require_same_scheduler for name in queue},
    }
    documents = documented(EnvironmentSpec)
    assert {each.path for each in documents if each.change == "refused"} == set(refusals)
    account = {"organization": require_same_stores, "region": require_same_stores}
    assert {each.path for each in documented(AccountSpec) if each.change == "refused"} == set(account)
