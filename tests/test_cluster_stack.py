"""What makes a fleet stack a cluster: its description, its key and disk, its documents, and its machines."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from node.cluster.facts import ClusterFacts, parse_facts
from stacks import naming
from stacks.app import read_declarations, synthesize
from stacks.documents import _documents
from stacks.environment import EnvironmentSpec
from stacks.outputs import EnvironmentOutputs
from stacks.scheduler_spec import SchedulerSpec, TeamSpec
from templates.engine import render
from tests.golden_environments import DECLARED
from tests.golden_synth import BUNDLE, stack_json

RESERVED = "cr-0fedcba9876543210"


def declared(name: str) -> EnvironmentSpec:
    """Return one of the golden environments."""
    (spec,) = read_declarations(DECLARED, [name])[1]
    return spec


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environment that three teams share, and the one without a queue, are synthesized."""
    folder = tmp_path_factory.mktemp("cluster")
    account, specs = read_declarations(DECLARED, ["pair", "onebox"])
    synthesize(account, specs, BUNDLE, folder)
    return folder


@pytest.fixture(scope="module")
def made(out: Path) -> dict[str, Any]:
    """The resources of the shared environment's fleet stack by type and name."""
    found: dict[str, Any] = stack_json(out, "pair-fleet")["resource"]
    return found


@pytest.fixture(scope="module")
def facts(made: dict[str, Any]) -> ClusterFacts:
    """What the machines are told, as they read it."""
    return parse_facts(json.loads(made["aws_s3_object"]["cluster_cluster"]["content"]))


def test_the_machines_read_what_the_stack_tells_them(facts: ClusterFacts) -> None:
    assert (facts.environment, facts.region, facts.default_team) == ("pair", "us-east-1", "research")
    assert {name: team.share for name, team in facts.teams.items()} == {"research": 2, "blue": 1, "green": 1}
    assert facts.teams["blue"].user == "ff-blue" and facts.teams["blue"].uid != facts.teams["green"].uid
    assert (facts.accounting, facts.munge_secret) == (True, "fleetform/pair/munge")
    assert facts.state_volume == "${aws_ebs_volume.queue_state.id}"
    train = facts.fleets["train"]
    assert (train.nodes, train.max_nodes, train.gpus, train.gpu_name, train.efa) == (2, 4, 8, "a100", 4)
    assert train.memory_mib == int(1152 * 1024 * 0.94) and train.placement == "together"
    assert facts.fleets["eval"].subnet_ids == tuple(
        f"${{data.terraform_remote_state.base.outputs.subnet_id_{zone}}}" for zone in (0, 1)
    )


def test_each_way_of_buying_finds_a_template_that_asks_for_nothing_else(
    made: dict[str, Any], facts: ClusterFacts
) -> None:
    train, cheap = facts.fleets["train"], facts.fleets["eval"]
    assert train.purchases == ("capacity_reservation", "on_demand")
    by_name = {each["name"]: each for each in made["aws_launch_template"].values()}
    reserved = by_name[train.launch_templates["capacity_reservation"]]
    market = by_name[train.launch_templates["on_demand"]]
    target = {"capacity_reservation_target": {"capacity_reservation_id": RESERVED}}
    assert reserved["capacity_reservation_specification"] == target
    assert "capacity_reservation_specification" not in market
    assert market["placement"]["group_name"] == "${aws_placement_group.train.name}"
    assert "group_name" not in reserved["placement"], "its capacity has its place"
    assert reserved["user_data"] == market["user_data"]
    assert cheap.purchases == ("spot", "on_demand")
    assert set(cheap.launch_templates.values()) == {"pair-eval"}, "which says neither"
    for template in by_name.values():
        tags = {each["resource_type"]: each["tags"] for each in template["tag_specifications"]}
        assert tags["instance"][naming.TAG_ENVIRONMENT] == "pair"


def test_a_group_holds_the_nodes_that_always_stand_and_says_how_many_more_there_may_be(
    made: dict[str, Any],
) -> None:
    for name, nodes, most in (("train", 2, "4"), ("eval", 0, "8")):
        group = made["aws_autoscaling_group"][name]
        assert (group["min_size"], group["desired_capacity"], group["max_size"]) == (0, nodes, nodes)
        own = [tag for tag in group["tag"] if not tag["propagate_at_launch"]]
        assert own == [{"key": naming.TAG_MAX_NODES, "value": most, "propagate_at_launch": False}]


def test_the_head_stands_where_the_queues_disk_is_and_the_disk_is_encrypted_with_the_environments_key(
    made: dict[str, Any], out: Path
) -> None:
    subnet = "${data.terraform_remote_state.base.outputs.subnet_id_0}"
    assert made["aws_autoscaling_group"]["head"]["vpc_zone_identifier"] == [subnet]
    disk = made["aws_ebs_volume"]["queue_state"]
    assert disk["availability_zone"] == "${data.aws_subnet.head.availability_zone}"
    key = "${data.terraform_remote_state.base.outputs.kms_key_arn}"
    assert (disk["encrypted"], disk["kms_key_id"], disk["size"]) == (True, key, 20)
    zone = stack_json(out, "pair-fleet")["data"]["aws_subnet"]["head"]
    assert zone["filter"] == [{"name": "subnet-id", "values": [subnet]}]


def test_the_key_of_the_cluster_has_no_value_in_any_stack(made: dict[str, Any], out: Path) -> None:
    secret = made["aws_secretsmanager_secret"]["munge"]
    assert secret["recovery_window_in_days"] == 0 and "terraform_remote_state" in secret["kms_key_id"]
    assert "aws_secretsmanager_secret_version" not in made
    for script in made["aws_launch_template"].values():
        assert "munge" not in base64.b64decode(script["user_data"]).decode()


def test_machines_start_after_the_configuration_that_they_read(made: dict[str, Any]) -> None:
    for group in made["aws_autoscaling_group"].values():
        needed = set(group["depends_on"])
        assert {f"aws_s3_object.cluster_{name}" for name in ("slurm", "gres", "cgroup")} <= needed
        assert "aws_secretsmanager_secret.munge" in needed
        # Its creation takes longer than that of the machines: the head waits for it instead of everybody.
        assert "aws_ebs_volume.queue_state" not in needed


def test_what_slurm_is_told_of_each_fleet_stands_in_its_configuration(made: dict[str, Any]) -> None:
    text = made["aws_s3_object"]["cluster_slurm"]["content"]
    assert "ClusterName=pair\n" in text and "SuspendTime=300\n" in text
    assert re.search(
        r"^NodeName=train-\[1-4\] CPUs=96 RealMemory=\d+ Gres=gpu:a100:8 State=CLOUD$", text, re.M
    )
    assert re.search(r"^SuspendExcNodes=train-\[1-2\]$", text, re.M), "the others come and go"
    gres = made["aws_s3_object"]["cluster_gres"]["content"]
    assert "NodeName=eval-[1-8] Name=gpu Type=t4 File=/dev/nvidia0\n" in gres


# ------------------------------------------------------------------------------ documents


def commands(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the documents by name."""
    return {each["name"]: yaml.safe_load(each["content"]) for each in made["aws_ssm_document"].values()}


def test_each_team_has_documents_that_carry_its_name_and_take_its_runs_alone(made: dict[str, Any]) -> None:
    found = commands(made)
    assert set(found) == {
        "pair-run-node",
        *(f"pair-{kind}{team}" for kind in ("run-job", "queue") for team in ("", "-blue", "-green")),
    }
    ids = {"": "20261122-120000-abcde", "-blue": "blue-20261122-120000-abcde", "-green": "green-1"}
    for kind in ("run-job", "queue"):
        for team, own in ids.items():
            document = found[f"pair-{kind}{team}"]
            pattern = document["parameters"]["RunId"]["allowedPattern"]
            accepted = {each for each, run_id in ids.items() if re.fullmatch(pattern, run_id)}
            assert accepted == {team}, f"{kind}{team} takes {own} and nobody else's"
            (step,) = document["mainSteps"]
            name = team.removeprefix("-") or "research"
            assert f"--team '{name}'" in step["inputs"]["runCommand"][-1]


SHELL = ("a;b", "$(id)", "a'b", "a b", "`id`", "a\nb", "../../x", "A", "", "a|b", "${IFS}", "x" * 70)


def test_no_document_takes_shell_text_in_any_parameter(made: dict[str, Any]) -> None:
    tried = 0
    for name, document in commands(made).items():
        for parameter, about in document["parameters"].items():
            for text in SHELL:
                for begins in ("", "blue-", "1"):
                    bad = begins + text if text else text
                    if re.fullmatch(r"[a-z0-9-]+", bad) and len(bad) < 60:
                        continue
                    assert not re.search(about["allowedPattern"], bad), f"{name}.{parameter}: {bad!r}"
                    tried += 1
    assert tried > 300


@pytest.mark.parametrize("act", ["cancel", "hold", "release", "requeue"])
def test_the_queue_document_takes_four_acts_and_no_other(made: dict[str, Any], act: str) -> None:
    pattern = commands(made)["pair-queue"]["parameters"]["Act"]["allowedPattern"]
    assert re.search(pattern, act)
    for other in ("submit", f"{act} ", f"x{act}", f"{act};id", "CANCEL"):
        assert not re.search(pattern, other)


def test_without_further_teams_a_runs_id_may_begin_as_it_likes() -> None:
    spec = declared("closed")
    texts = {name: yaml.safe_load(render(text)) for name, _, text in _documents(spec)}
    pattern = texts["run_job"]["parameters"]["RunId"]["allowedPattern"]
    assert re.fullmatch(pattern, "speedup-1") and re.fullmatch(pattern, "2026-a")


# ------------------------------------------------------------------------------ outputs, and without Slurm


def test_the_outputs_name_the_teams_and_their_documents(made: dict[str, Any]) -> None:
    told = EnvironmentOutputs.from_json(made["aws_ssm_parameter"]["outputs"]["insecure_value"])
    assert (told.scheduler, told.default_team) == ("slurm", "research")
    assert told.teams == ("research", "blue", "green")
    assert told.run_document_of("research") == told.run_document == "pair-run-job"
    assert told.run_document_of("blue") == "pair-run-job-blue"
    assert (
        told.queue_document_of("") == "pair-queue" and told.queue_document_of("green") == "pair-queue-green"
    )
    assert (told.fleets["train"].elastic, told.fleets["eval"].elastic) == (2, 8)
    assert told.longest_minutes == 168 * 60


def test_without_slurm_there_is_nothing_of_a_cluster(out: Path) -> None:
    found = stack_json(out, "onebox-fleet")["resource"]
    assert {"aws_ebs_volume", "aws_secretsmanager_secret"} & set(found) == set()
    assert not [name for name in found["aws_s3_object"] if name.startswith("cluster")]
    assert {each["name"] for each in found["aws_ssm_document"].values()} == {
        "onebox-run-job",
        "onebox-run-node",
    }
    told = EnvironmentOutputs.from_json(found["aws_ssm_parameter"]["outputs"]["insecure_value"])
    assert (told.scheduler, told.teams, told.longest_minutes) == ("plain", (), 0)
    head = json.dumps(stack_json(out, "onebox-base")["resource"]["aws_iam_role_policy"]["head"])
    assert "RunInstances" not in head and "secretsmanager" not in head
    script = base64.b64decode(found["aws_launch_template"]["head"]["user_data"]).decode()
    assert '"scheduler": "plain"' in script


def test_outputs_of_an_older_fleetform_are_without_a_queue(made: dict[str, Any]) -> None:
    told = json.loads(made["aws_ssm_parameter"]["outputs"]["insecure_value"])
    new = ("scheduler", "default_team", "teams", "accounting", "containers", "longest_minutes")
    old = {key: value for key, value in told.items() if key not in new}
    read = EnvironmentOutputs.from_json(json.dumps(old))
    assert (read.scheduler, read.teams) == ("plain", ())


def test_a_name_of_twenty_letters_fits_every_name_that_is_made_of_it() -> None:
    spec = declared("pair")
    team, longest = "t" * 20, "e" * 20
    queue = SchedulerSpec(teams={team: TeamSpec()})
    spec = spec.model_copy(update={"name": longest, "scheduler": queue})
    assert all(len(title) <= 128 for _, title, _ in _documents(spec)), "Systems Manager's limit"
    assert len(naming.team_role(longest, team, "ap-southeast-3")) <= 64, "IAM's limit"
