"""A teardown ends the nodes that no state of Terraform's knows, after the head that could start more."""

from __future__ import annotations

import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet import elastic, up
from fleet.cloud import Cloud
from fleet.elastic import end_elastic
from fleet.instances import instances, is_elastic
from fleet.project import Project
from fleet.session import Session
from fleet.setting_changes import SettingChange
from fleet.terraform_events import ProgressEvent, quiet
from stacks import naming
from stacks.account import load_account
from stacks.environment import load_environment
from tests.sandbox_helpers import IMAGE, REGION, admin, api, run_instances, wait_for
from tests.spec_files import ACCOUNT, environment_text, write_folder

pytestmark = pytest.mark.sandbox


def opened(sandbox: Cloud, root: Path, more: str = "") -> Session:
    """Return a session of an environment of its own whose fleet may grow; `more` goes into its file."""
    name = f"e{uuid.uuid4().hex[:8]}"
    root.mkdir(exist_ok=True)
    folder = write_folder(root, ACCOUNT, **{name: environment_text(name) + more})
    spec = load_environment(folder / f"{name}.toml")
    return Session(Project(root, root / "home"), sandbox, load_account(folder), spec)


def start(session: Session, role: str, **more: str) -> str:
    """Start a machine of the environment and return its id."""
    tags = {naming.TAG_ENVIRONMENT: session.spec.name, naming.TAG_ROLE: role, **more}
    (instance,) = run_instances(session.cloud, 1, **tags)
    return instance


def states(session: Session, *ids: str) -> list[str]:
    """Return the state of each machine."""
    answer = api(session.cloud, "ec2").describe_instances(InstanceIds=list(ids))
    found = {
        each["InstanceId"]: each["State"]["Name"]
        for reservation in answer["Reservations"]
        for each in reservation["Instances"]
    }
    return [found[each] for each in ids]


def add_head_group(session: Session) -> str:
    """Make the group of one that starts the head again whenever it ends; return the head's id."""
    name, ec2 = naming.head_group(session.spec.name), api(session.cloud, "ec2")
    data = {"ImageId": IMAGE, "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    # Without a lease the reaper of an account that another test has built would end it all meanwhile.
    tags = {
        naming.TAG_ENVIRONMENT: session.spec.name,
        naming.TAG_ROLE: naming.ROLE_HEAD,
        naming.TAG_LEASE_ENDS: "2999-01-01",
    }
    scaling = api(session.cloud, "autoscaling")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=[f"{REGION}a"],
        LaunchTemplate={"LaunchTemplateName": name},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
    )

    def look() -> str:
        (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        return next((str(each["InstanceId"]) for each in group["Instances"]), "")

    return wait_for(look)


def test_the_head_goes_first_and_then_what_it_has_started_and_nothing_else(
    sandbox: Cloud, tmp_path: Path
) -> None:
    session, other = opened(sandbox, tmp_path / "a"), opened(sandbox, tmp_path / "b")
    head = add_head_group(session)
    launched = {naming.TAG_FLEET: "gpu", naming.TAG_LAUNCH: "l-1"}
    mine = [start(session, naming.ROLE_NODE, **launched) for _ in range(2)]
    static = start(session, naming.ROLE_NODE, **{naming.TAG_FLEET: "gpu"})
    strange = start(other, naming.ROLE_NODE, **launched)
    told: list[str] = []

    def report(event: ProgressEvent) -> None:
        told.append(f"{event.text} [{', '.join(states(session, head, *mine))}]")

    try:
        assert end_elastic(session, report) == sorted(mine)
        assert states(session, head, *mine) == ["terminated"] * 3
        assert states(session, static, strange) == ["running"] * 2, (
            "the group's own, and another environment's"
        )
        assert told[0].startswith("ending the head node first") and told[0].count("running") == 3
        assert told[1].startswith("ending 2 nodes") and "[terminated, " in told[1]
        assert end_elastic(session, quiet) == [], "and a second look finds nothing"
    finally:
        api(sandbox, "ec2").terminate_instances(InstanceIds=[static, strange])
        api(sandbox, "autoscaling").delete_auto_scaling_group(
            AutoScalingGroupName=naming.head_group(session.spec.name), ForceDelete=True
        )


def test_of_a_fleet_that_is_taken_out_the_nodes_of_the_queue_end_and_no_others(
    sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(sandbox, tmp_path)
    launched = {naming.TAG_LAUNCH: "l-1"}
    old, gpu = (start(session, naming.ROLE_NODE, **launched, **{naming.TAG_FLEET: f}) for f in ("old", "gpu"))
    try:
        changes = [
            SettingChange(path=path, old=old_value, new=new_value, change="free", why="")
            for path, old_value, new_value in (
                ("fleets.old", {"nodes": 0}, None),
                ("fleets.gpu.nodes", 1, 2),
                ("fleets.new", None, {"nodes": 0}),
            )
        ]
        monkeypatch.setattr(up, "changed_settings", lambda session: changes)
        act: Any = SimpleNamespace(details={})
        up._end_taken_out(session, quiet, act, up.UpOptions(stacks=(naming.base_stack(session.spec.name),)))
        assert states(session, old) == ["running"], "the fleet's stack was not asked for"
        up._end_taken_out(session, quiet, act, up.UpOptions())
        assert act.details == {"elastic_nodes": [old]}
        assert states(session, old, gpu) == ["terminated", "running"]
    finally:
        api(sandbox, "ec2").terminate_instances(InstanceIds=[gpu])


def launch_late(session: Session) -> str:
    """Start a node as the head does, in its last second; return its id."""
    tags = {
        naming.TAG_ENVIRONMENT: session.spec.name,
        naming.TAG_ROLE: naming.ROLE_NODE,
        naming.TAG_FLEET: "gpu",
        naming.TAG_LAUNCH: "l-9",
    }
    template = {"LaunchTemplateName": naming.head_group(session.spec.name), "Version": "$Latest"}
    answer = api(session.cloud, "ec2").create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template}],
        TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"},
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": tags[key]} for key in tags]}
        ],
    )
    return str(answer["Instances"][0]["InstanceIds"][0])


def test_a_node_of_the_heads_last_second_is_ended_though_ec2_lists_it_late(
    sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elastic, "_LOOK_SECONDS", 1.2)
    session = opened(sandbox, tmp_path)
    add_head_group(session)
    admin(sandbox, "POST", "listings", {"lag_s": 2.0})
    late = launch_late(session)
    try:
        assert not [each for each in instances(session, ["pending", "running"]) if is_elastic(each)]
        assert end_elastic(session, quiet) == [late]
        assert states(session, late) == ["terminated"]
    finally:
        admin(sandbox, "POST", "listings", {"lag_s": 0})
        api(sandbox, "autoscaling").delete_auto_scaling_group(
            AutoScalingGroupName=naming.head_group(session.spec.name), ForceDelete=True
        )


def test_a_head_that_starts_no_nodes_is_left_to_terraform(sandbox: Cloud, tmp_path: Path) -> None:
    session = opened(sandbox, tmp_path, '[scheduler]\nkind = "plain"\n')
    head = add_head_group(session)
    try:
        assert end_elastic(session, quiet) == []
        assert states(session, head) == ["running"]
    finally:
        api(sandbox, "autoscaling").delete_auto_scaling_group(
            AutoScalingGroupName=naming.head_group(session.spec.name), ForceDelete=True
        )
