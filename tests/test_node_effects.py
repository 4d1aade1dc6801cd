"""What an edit of the file does to the nodes that run, and that none is ended under a run unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.node_effects import (
    FleetEffect,
    RunningNode,
    Target,
    fleet_effects,
    require_no_run_ended,
    running_nodes,
    targets,
)
from fleet.priced import Resource
from fleet.project import Project
from fleet.run_store import open_runs
from fleet.session import Session
from fleet.setting_changes import SettingChange, setting_changes
from stacks import naming
from stacks.environment import EnvironmentSpec
from stacks.problems import UserError
from tests.run_environment import make_specs
from tests.sandbox_helpers import api, run_instances

NODES = [
    RunningNode(instance_id="i-1", fleet="gpu", run_id="r-9"),
    RunningNode(instance_id="i-2", fleet="gpu", run_id=""),
]


def edited(**fleet: Any) -> tuple[dict[str, Any], EnvironmentSpec]:
    """Return what stands, two g5.xlarge, and a file in which some settings of the fleet are others."""
    _, spec = make_specs("edited", 2)
    gpu = spec.fleets["gpu"].model_copy(update=fleet)
    return json.loads(spec.declaration()), spec.model_copy(update={"fleets": {"gpu": gpu}})


def effect(target: Target | None, settings: tuple[SettingChange, ...] = (), **more: Any) -> FleetEffect:
    """Return what becomes of the two nodes."""
    (found,) = fleet_effects(NODES, {"gpu": target} if target else {}, settings, **more)
    return found


def group(name: str, role: str = naming.ROLE_NODE, **more: Any) -> Resource:
    """Return a group of 2 to 4 machines."""
    tags = [{"key": naming.TAG_ROLE, "value": role}]
    tags += [{"key": naming.TAG_FLEET, "value": name}] if role == naming.ROLE_NODE else []
    sizes = {"min_size": 0, "desired_capacity": 2, "max_size": 4}
    return Resource("aws_autoscaling_group", name, {**sizes, "tag": tags, **more})


# ------------------------------------------------------------------------------ settings


def test_an_unchanged_file_changes_nothing() -> None:
    assert setting_changes(*edited()) == []


def test_each_changed_setting_is_told_with_what_changing_it_does_and_why() -> None:
    found = {each.path: each for each in setting_changes(*edited(nodes=1, root_volume_gib=200))}
    assert set(found) == {"fleets.gpu.nodes", "fleets.gpu.root_volume_gib"}
    nodes, disk = found["fleets.gpu.nodes"], found["fleets.gpu.root_volume_gib"]
    assert (nodes.old, nodes.new, nodes.change) == (2, 1, "free") and "ends some" in nodes.why
    assert (disk.old, disk.new, disk.change) == (100, 200, "new machines only")
    assert (disk.fleet, disk.setting, disk.whole_table) == ("gpu", "root_volume_gib", False)


def test_a_fleet_added_or_taken_out_is_one_change() -> None:
    declared, spec = edited()
    declared["fleets"]["old"] = declared["fleets"]["gpu"]
    del declared["fleets"]["gpu"]
    found = {each.path: (each.old is None, each.new is None) for each in setting_changes(declared, spec)}
    assert found == {"fleets.gpu": (True, False), "fleets.old": (False, True)}


def test_a_setting_that_an_older_version_did_not_know_counts_as_its_default() -> None:
    declared, spec = edited(purchase="spot")
    del declared["fleets"]["gpu"]["purchase"], declared["network"]["nat"], declared["efs"]
    declared["gone"] = 1
    assert [(each.path, each.old, each.new) for each in setting_changes(declared, spec)] == [
        ("fleets.gpu.purchase", "on_demand", "spot")
    ]


def test_a_declaration_says_everything_and_is_the_same_text_each_time() -> None:
    _, spec = make_specs("edited", 2)
    of_no_stack = {"budget"}  # changing it builds nothing
    assert set(json.loads(spec.declaration())) == set(EnvironmentSpec.model_fields) - of_no_stack
    assert spec.declaration() == make_specs("edited", 2)[1].declaration()


# ------------------------------------------------------------------------------ effects


def test_fewer_nodes_end_running_ones_and_the_run_on_the_fleet_is_named() -> None:
    found = effect(Target(wanted=1, most=1))
    assert found.words == ("`gpu`: 1 running node is ended, and the run r-9 is on the fleet",)


def test_more_nodes_start_and_none_ends() -> None:
    assert effect(Target(wanted=4, most=4)).words == ("`gpu`: 2 nodes are started",)


def test_running_nodes_keep_the_old_value_of_what_only_new_ones_see() -> None:
    settings = tuple(setting_changes(*edited(root_volume_gib=200, image="ami-12345678")))
    words = effect(Target(wanted=2, most=2), settings).words
    assert words == ("`gpu`: 2 running nodes keep their old root_volume_gib, image until replaced",)
    one = effect(Target(wanted=1, most=1), settings).words
    assert one[1] == "`gpu`: 1 running node keeps its old root_volume_gib, image until replaced"


def test_a_fleet_taken_out_ends_all_its_nodes() -> None:
    assert (effect(None).ends, effect(None).starts) == (2, 0)


def test_a_group_that_is_made_anew_ends_all_nodes_and_starts_as_many() -> None:
    found = effect(Target(wanted=2, most=2), made_anew={"gpu"})
    assert (found.ends, found.starts) == (2, 2)


@pytest.mark.parametrize("edit", [{"purchase": "spot"}, {"on_demand_base": 1}])
def test_nodes_that_are_to_be_bought_another_way_are_replaced_by_their_group(edit: dict[str, Any]) -> None:
    found = effect(Target(wanted=2, most=2), tuple(setting_changes(*edited(**edit))))
    assert (found.ends, found.starts) == (2, 2)


def test_the_targets_are_the_groups_numbers_and_the_head_is_no_fleet() -> None:
    found = targets([group("gpu"), group("head", naming.ROLE_HEAD)])
    assert found == {"gpu": Target(wanted=2, most=2)}


def test_under_slurm_nodes_beyond_the_group_stay_up_to_what_the_fleet_may_grow_to() -> None:
    tags = [*group("gpu").values["tag"], {"key": naming.TAG_MAX_NODES, "value": "5"}]
    declared = targets([group("gpu", tag=tags, max_size=2)])
    assert declared == {"gpu": Target(wanted=2, most=2, elastic=3)}
    beyond = [RunningNode(instance_id=f"i-{n}", fleet="gpu", run_id="", elastic=True) for n in range(3, 6)]
    (found,) = fleet_effects([*NODES, *beyond], declared)
    assert (found.running, found.ends, found.starts) == (5, 0, 0)
    (found,) = fleet_effects([*NODES, *beyond], {"gpu": Target(wanted=2, most=2, elastic=1)})
    assert (found.ends, found.starts) == (2, 0)
    (found,) = fleet_effects(beyond, declared)
    assert (found.ends, found.starts) == (0, 2), "they stand in for none of the group"


def test_nodes_of_the_queue_make_way_for_standing_ones_and_only_those_past_the_fleet_end() -> None:
    beyond = [
        RunningNode(instance_id=f"i-{n}", fleet="gpu", run_id="r-1", elastic=True, name=f"gpu-{n}")
        for n in range(3, 7)
    ]
    (found,) = fleet_effects([*NODES, *beyond], {"gpu": Target(wanted=4, most=4, elastic=2)})
    assert (found.running, found.ends, found.starts, found.gives_way) == (6, 0, 2, 2)
    way = "`gpu`: 2 nodes that came with the queue make way for standing ones once their runs are over"
    assert found.words == ("`gpu`: 2 nodes are started", way)
    assert require_no_run_ended([found]) == ()
    (found,) = fleet_effects(beyond[3:], {"gpu": Target(wanted=0, most=0, elastic=5)})
    assert (found.ends, found.words) == (
        1,
        ("`gpu`: 1 running node is ended, and the run r-1 is on the fleet",),
    )
    with pytest.raises(UserError):
        require_no_run_ended([found])


def test_a_number_that_terraform_leaves_alone_ends_a_node_only_above_the_maximum() -> None:
    lifecycle = {"ignore_changes": ["desired_capacity"]}
    for each in (group("gpu", lifecycle=lifecycle), group("gpu", desired_capacity=None)):
        assert targets([each]) == {"gpu": Target(wanted=0, most=4)}


def test_a_change_that_would_end_nodes_under_a_run_is_refused_unless_a_reason_is_given() -> None:
    effects = [effect(Target(wanted=1, most=1))]
    with pytest.raises(UserError) as caught:
        require_no_run_ended(effects)
    (problem,) = caught.value.problems
    assert "the run r-9 is on the fleet" in problem.what and "--anyway REASON" in problem.do
    assert require_no_run_ended(effects, "quota") == (problem.what,)


def test_ending_free_nodes_of_a_fleet_without_a_run_is_nothing_to_refuse() -> None:
    free = fleet_effects([NODES[1]], {"gpu": Target(wanted=0, most=0)})
    assert free[0].ends == 1 and require_no_run_ended(free) == ()
    assert require_no_run_ended([effect(Target(wanted=4, most=4))]) == ()


# ------------------------------------------------------------------------------ who is on the nodes


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path) -> Iterator[Session]:
    """A session on an environment with a bucket of runs and no machines."""
    account, spec = make_specs("claimed", 2)
    found = Session(Project(root=tmp_path, home=tmp_path), sandbox, account, spec)
    bucket = naming.artifact_bucket(account.organization, "claimed", spec.region)
    api(sandbox, "s3").create_bucket(Bucket=bucket)
    yield found


@pytest.mark.sandbox
def test_a_node_is_known_with_the_active_run_that_holds_it(session: Session, sandbox: Cloud) -> None:
    tags = {naming.TAG_ENVIRONMENT: "claimed", naming.TAG_ROLE: naming.ROLE_NODE, naming.TAG_FLEET: "gpu"}
    ids = sorted(run_instances(sandbox, 3, **tags))
    store = open_runs(session)
    run = {"recipe": "digits", "script": "", "fleet": "gpu", "nodes": 1, "procs_per_node": 1}
    for number, last in (("r-1", "RUNNING"), ("r-2", "SUCCEEDED")):
        store.put(number, "run.json", {**run, "actor": "me", "submitted": "2026-01-01T00:00:00+00:00"})
        event = {"time": "2026-01-01T00:00:00+00:00", "event": last, "detail": {}}
        store.append_line(number, "events.jsonl", event)
    for instance, holder in ((ids[0], "r-1"), (ids[1], "r-2")):
        body = json.dumps({"run_id": holder}).encode()
        store.s3.put_object(Bucket=store.bucket, Key=f"nodes/{instance}.json", Body=body)
    try:
        assert running_nodes(session) == [
            RunningNode(instance_id=ids[0], fleet="gpu", run_id="r-1", instance_type="g5.xlarge"),
            RunningNode(instance_id=ids[1], fleet="gpu", run_id="", instance_type="g5.xlarge"),
            RunningNode(instance_id=ids[2], fleet="gpu", run_id="", instance_type="g5.xlarge"),
        ]
    finally:
        api(sandbox, "ec2").terminate_instances(InstanceIds=ids)


@pytest.mark.sandbox
def test_the_runs_on_a_node_of_the_queue_are_known_from_what_the_head_tells(
    session: Session, sandbox: Cloud
) -> None:
    tags = {naming.TAG_ENVIRONMENT: "claimed", naming.TAG_ROLE: naming.ROLE_NODE, naming.TAG_FLEET: "gpu"}
    (standing,) = run_instances(sandbox, 1, **tags)
    (coming,) = run_instances(sandbox, 1, **tags, **{naming.TAG_LAUNCH: "l-1"})
    store = open_runs(session)
    run = {"recipe": "digits", "script": "", "fleet": "gpu", "nodes": 1, "procs_per_node": 1}
    for number, last in (("1-a", "RUNNING"), ("1-b", "RUNNING"), ("1-c", "SUCCEEDED")):
        store.put(number, "run.json", {**run, "actor": "me", "submitted": "2026-01-01T00:00:00+00:00"})
        event = {"time": "2026-01-01T00:00:00+00:00", "event": last, "detail": {}}
        store.append_line(number, "events.jsonl", event)
    told = [
        {"name": "gpu-1", "instance_id": standing, "runs": ["1-a", "1-b"]},
        {"name": "gpu-2", "instance_id": coming, "runs": ["1-c"]},
        {"name": "gpu-3", "instance_id": "", "runs": []},
    ]
    store.s3.put_object(
        Bucket=store.bucket, Key="cluster/nodes.json", Body=json.dumps({"nodes": told}).encode()
    )
    try:
        found = {each.instance_id: each for each in running_nodes(session)}
        assert (found[standing].run_id, found[standing].other_runs) == ("1-a", ("1-b",))
        assert not found[standing].elastic
        assert (found[coming].run_id, found[coming].elastic) == ("", True)
    finally:
        api(sandbox, "ec2").terminate_instances(InstanceIds=[standing, coming])
