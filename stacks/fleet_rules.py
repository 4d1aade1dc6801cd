"""The guardrails on an environment's machines: what they are and how many."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacks import naming
from stacks.case import Case, Rule
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec, HeadSpec
from stacks.outputs import FleetOutputs
from stacks.placement_rules import PLACEMENT_ERRORS, PLACEMENT_WARNINGS
from stacks.problems import Problem, nearest
from stacks.purchase_rules import PURCHASE_ERRORS, PURCHASE_WARNINGS

BURSTABLE = ("t2", "t3", "t3a", "t4g")
"""Families whose CPU is throttled to a baseline; cluster placement groups refuse them (EC2 user guide)."""
PARAMETER_MAX = 4096
"""Characters of a standard parameter (Systems Manager user guide); advanced ones cost money."""
PUBLISHED_BESIDES = 800
"""Characters that the outputs take at most beside their fleets and subnets; a test holds it against them."""
SOME_ID = "subnet-0123456789abcdef0"


def types_are_known(case: Case) -> Iterator[Problem]:
    """Every instance type is in the catalog."""
    named = [("head.instance_type", case.spec.head.instance_type)]
    named += [
        (f"fleets.{name}.instance_type", fleet.instance_type) for name, fleet in case.spec.fleets.items()
    ]
    for path, instance_type in named:
        if instance_type not in load_catalog():
            near = nearest(instance_type, load_catalog())
            hint = f"did you mean `{near}`? " if near else ""
            yield case.problem(
                path,
                f"there is no instance type {instance_type!r} in the catalog",
                f"{hint}known: {', '.join(load_catalog())}",
            )


def fleets_are_not_burstable(case: Case) -> Iterator[Problem]:
    """No fleet is of a burstable type, which cluster placement groups refuse; the head node may be."""
    for name, fleet in case.spec.fleets.items():
        if fleet.placement_group and fleet.instance_type.partition(".")[0] in BURSTABLE:
            yield case.problem(
                f"fleets.{name}.instance_type",
                f"{fleet.instance_type} is burstable; a fleet's cluster placement group takes no such type",
                "take a GPU type, such as g5.xlarge; to train on the CPU, m6i.large",
            )


def images_fit_their_machines(case: Case) -> Iterator[Problem]:
    """An image that is named by its parameter is made for the machine's processor and accelerators."""
    machines: dict[str, HeadSpec | FleetSpec] = {"head": case.spec.head}
    machines |= {f"fleets.{name}": fleet for name, fleet in case.spec.fleets.items()}
    for path, machine in machines.items():
        words = set(re.split(r"[/_.-]", machine.image)) if machine.image.startswith("ssm:") else set()
        found = load_catalog().get(machine.instance_type)
        if words & {"arm64", "aarch64"}:
            wrong, right = "an image for ARM", "the same image for x86_64"
        elif found and found.neuron_devices and words & {"nvidia", "gpu"}:
            wrong, right = "an image for NVIDIA's GPUs", "one of AWS's Neuron images, or a GPU type"
        elif found and found.gpus and "neuron" in words:
            wrong, right = "an image for AWS's Trainium", "an image with the NVIDIA driver, or a trn type"
        else:
            continue
        yield case.problem(f"{path}.image", f"{machine.instance_type} would start {wrong}", f"take {right}")


def nodes_within_max_nodes(case: Case) -> Iterator[Problem]:
    """No fleet starts with more nodes than it may grow to."""
    for name, fleet in case.spec.fleets.items():
        if fleet.nodes > fleet.max_nodes:
            yield case.problem(
                f"fleets.{name}.nodes",
                f"{fleet.nodes} nodes where max_nodes is {fleet.max_nodes}",
                f"lower it to {fleet.max_nodes}, or raise max_nodes",
            )


def max_nodes_within_the_limit(case: Case) -> Iterator[Problem]:
    """All fleets together stay within the account's limit for one environment."""
    if case.account is None:
        return
    limit = case.account.limits.max_nodes_per_environment
    fleets = case.spec.fleets
    over = [(name, fleet.max_nodes) for name, fleet in fleets.items() if fleet.max_nodes > limit]
    total = sum(fleet.max_nodes for fleet in fleets.values())
    do = "ask for less, or have limits.max_nodes_per_environment raised in account.toml"
    for name, most in over:
        yield case.problem(f"fleets.{name}.max_nodes", f"{most} nodes where {limit} are allowed", do)
    if not over and total > limit:
        yield case.problem("fleets", f"{total} nodes together where {limit} are allowed", do)


def outputs_fit_their_parameter(case: Case) -> Iterator[Problem]:
    """The fleets are few enough that what stands can be published in one Systems Manager parameter."""
    spec = case.spec
    needed = published_characters(spec)
    if needed > PARAMETER_MAX:
        yield case.problem(
            "fleets",
            f"what is told of {len(spec.fleets)} fleets takes about {needed} characters where a Systems "
            f"Manager parameter has {PARAMETER_MAX}",
            "split the environment, or have fewer fleets",
        )


def published_characters(spec: EnvironmentSpec) -> int:
    """Return how many characters the environment's outputs take at most."""
    fleets = 0
    for name, fleet in spec.fleets.items():
        zones = spec.network.zone_count if fleet.placement == "spread" else 1
        told = FleetOutputs(
            group=naming.fleet_group(spec.name, name),
            nodes=fleet.nodes,
            max_nodes=fleet.max_nodes,
            instance_type=fleet.instance_type,
            gpus_per_node=8,
            purchase=fleet.purchase,
            placement=fleet.placement,
            subnet_ids=(SOME_ID,) * zones,
        )
        fleets += len(told.model_dump_json()) + len(name) + len('"":,')
    return fleets + len(SOME_ID) * spec.network.zone_count + PUBLISHED_BESIDES


def head_has_no_gpu(case: Case) -> Iterator[Problem]:
    """The head node has no GPU, since nothing there would use it."""
    found = load_catalog().get(case.spec.head.instance_type)
    if found is not None and found.gpus:
        yield case.problem(
            "head.instance_type",
            f"{found.name} has {found.gpus} GPU that no run uses, for {found.price_usd_per_hour} USD an hour",
            "take a type without a GPU, such as m6i.large",
        )


def fleets_have_gpus(case: Case) -> Iterator[Problem]:
    """Every fleet's machines have a GPU; without one they train on the CPU, or on what recipes cannot use."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        if found is None or found.gpus:
            continue
        if found.neuron_devices:
            what = f"{found.name} has {found.neuron_devices} Trainium and no GPU: no recipe runs on them"
            do = "run scripts of your own on torch-neuronx, or take a GPU type, such as g5.xlarge"
        else:
            what = f"{found.name} has no GPU, so runs on this fleet train on the CPU"
            do = "take a GPU type, such as g5.xlarge, if that is not meant"
        yield case.problem(f"fleets.{name}.instance_type", what, do)


def there_is_a_fleet(case: Case) -> Iterator[Problem]:
    """There is a fleet at all; without one, no run can start."""
    if not case.spec.fleets:
        yield case.problem("fleets", "there is no fleet, so no run can start", "add a table `[fleets.gpu]`")


FLEET_ERRORS: tuple[Rule, ...] = (
    types_are_known,
    fleets_are_not_burstable,
    images_fit_their_machines,
    nodes_within_max_nodes,
    max_nodes_within_the_limit,
    outputs_fit_their_parameter,
    *PURCHASE_ERRORS,
    *PLACEMENT_ERRORS,
)
"""Rules on machines whose findings stop every act that builds."""
FLEET_WARNINGS: tuple[Rule, ...] = (
    head_has_no_gpu,
    fleets_have_gpus,
    there_is_a_fleet,
    *PURCHASE_WARNINGS,
    *PLACEMENT_WARNINGS,
)
"""Rules on machines whose findings are told, and stop nothing."""
