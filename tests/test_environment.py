"""The specs: every setting is documented, and every mistake in a file is told in plain words."""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, Field, ValidationError

from stacks.account import AccountSpec, load_account
from stacks.environment import EnvironmentSpec, environment_files, load_environment
from stacks.fields import Change, Spec, documented, toml_literal
from stacks.network_spec import NetworkSpec
from stacks.problems import Problem, UserError
from stacks.reference import PAGE, reference_page
from stacks.starter_spec import StarterSpec
from stacks.waivers import WaiverFile
from tests.spec_files import ACCOUNT, environment_text, write_folder

SHIPPED = Path(__file__).parent.parent / "environments"


def problems_of(tmp_path: Path, text: str) -> tuple[Problem, ...]:
    """Return what is wrong with an environment's file of that text."""
    file = tmp_path / "vision.toml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_environment(file)
    return caught.value.problems


def load_text(tmp_path: Path, text: str) -> EnvironmentSpec:
    """Load an environment's file of that text."""
    file = tmp_path / "vision.toml"
    file.write_text(text)
    return load_environment(file)


def test_every_setting_says_what_it_is_in_which_unit_and_what_changing_it_does() -> None:
    docs = [*documented(EnvironmentSpec), *documented(AccountSpec)]
    assert {"fleets.NAME.max_nodes", "network.cidr", "ledger.retention_days"} <= {doc.path for doc in docs}
    for doc in docs:
        assert len(doc.doc) > 8, doc.path
        assert doc.change in get_args(Change), doc.path
        assert doc.change != "refused" or doc.why, f"{doc.path} is refused without a reason"
        number = isinstance(doc.default, int) and not isinstance(doc.default, bool)
        counted = number or doc.path.endswith("nodes")
        assert bool(doc.unit) or not counted, f"{doc.path} is a number without a unit"


def test_no_table_of_a_spec_escapes_the_walk() -> None:
    roots = (EnvironmentSpec, AccountSpec, WaiverFile, StarterSpec)
    walked = {id(model) for root in roots for model in tables(root)}
    declared = [model for model in Spec.__subclasses__() if model.__module__.startswith("stacks.")]
    assert len(declared) >= 8
    assert all(id(model) in walked for model in declared)


def tables(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all models that its annotations reach."""
    found = [model]
    for info in model.model_fields.values():
        for part in (info.annotation, *get_args(info.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found += tables(part)
    return found


def test_a_field_that_was_not_declared_as_a_setting_fails_the_walk() -> None:
    class Bare(Spec):
        size: int = Field(default=1, description="Said, but not in which unit")

    with pytest.raises(AssertionError, match=r"size is not declared through setting"):
        list(documented(Bare))


def test_the_reference_page_is_current() -> None:
    assert PAGE.read_text() == reference_page(), "run `python -m stacks.reference`"


def test_a_file_of_the_required_settings_alone_takes_the_defaults(tmp_path: Path) -> None:
    spec = load_text(tmp_path, environment_text())
    assert spec.head.instance_type == "m6i.large"
    assert spec.network.cidr == IPv4Network("10.20.0.0/16")
    assert spec.network.zones == 2
    assert spec.fleets["gpu"].python == "/opt/pytorch/bin/python3"
    assert spec.artifacts.on_teardown == "retain"


def test_the_lease_lasts_to_the_end_of_its_last_day_in_utc(tmp_path: Path) -> None:
    spec = load_text(tmp_path, environment_text())
    assert spec.lease_until == datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)


def test_a_spec_cannot_be_changed(tmp_path: Path) -> None:
    spec = load_text(tmp_path, environment_text())
    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(("zones", "prefix"), [(1, 17), (2, 18), (3, 18), (4, 19)])
def test_the_network_is_cut_into_one_block_a_zone(zones: int, prefix: int) -> None:
    network = NetworkSpec(cidr=IPv4Network("10.20.0.0/16"), zones=zones)
    subnets = network.subnets()
    assert [subnet.prefixlen for subnet in subnets] == [prefix] * zones
    assert all(subnet.subnet_of(network.cidr) for subnet in subnets)
    assert not any(one.overlaps(other) for one in subnets for other in subnets if one != other)


def test_the_shipped_examples_belong_to_different_teams() -> None:
    specs = [load_environment(file) for file in environment_files(SHIPPED)]
    assert [spec.name for spec in specs] == ["speech", "vision"]
    assert len({spec.team for spec in specs}) == 2
    assert load_account(SHIPPED).organization


MISTAKES = [
    ({"name": 'name = "Vision"'}, "name", "'Vision' does not have the right form", "2 to 20 lowercase"),
    ({"team": "team = 3"}, "team", "this is the number 3", "write a text in quotes"),
    ({"owner": 'owner = "me"'}, "owner", "'me' does not have the right form", "an e-mail address"),
    ({"owner": ""}, "owner", "this setting is missing", "Person to ask"),
    ({"region": 'region = "Virginia"'}, "region", "'Virginia' does not have", "an AWS region such as"),
    ({"region": 'regoin = "us-east-1"'}, "regoin", "no setting 'regoin'", "did you mean `region`?"),
    ({"lease_ends": 'lease_ends = "2026-12-31"'}, "lease_ends", "the text '2026-12-31'", "without quotes"),
    ({"lease_ends": "lease_ends = 2026-12-31T10:00:00Z"}, "lease_ends", "the date with a time", "a date"),
    ({"cidr": 'cidr = "10.20.0.1/16"'}, "network.cidr", "not the start of a block", "IPv4 block"),
    ({"cidr": 'cidr = "10.20.0.0"'}, "network.cidr", "`10.20.0.0/32`", "IPv4 block"),
    ({"cidr": 'cidr = "ten"'}, "network.cidr", "'ten' is not an IPv4 block", "IPv4 block"),
    ({"cidr": "cidr = 10"}, "network.cidr", "this is the number 10", "write a text in quotes"),
    ({"cidr": 'cidr = "10.0.0.0/16"\nzones = 9'}, "network.zones", "9 is too large", "at most 6 zones"),
    ({"nodes": 'nodes = "four"'}, "fleets.gpu.nodes", "the text 'four'", "a whole number, without quotes"),
    ({"nodes": "nodes = true"}, "fleets.gpu.nodes", "the truth value True", "a whole number"),
    ({"nodes": "nodes = 2.0"}, "fleets.gpu.nodes", "the number 2.0", "a whole number"),
    ({"nodes": "nodes = -1"}, "fleets.gpu.nodes", "-1 is too small", "at least 0 nodes"),
    ({"max_nodes": "max_nodes = 4\nspot = true"}, "fleets.gpu.spot", "no setting 'spot'", "known here: inst"),
    ({"max_nodes": "max_nodes = 4\n[fleets.a-b]\nnodes=1"}, "fleets.a-b", "'a-b' does not", "lowercase"),
    (
        {"max_nodes": "max_nodes = 4\n[artifacts]\non_teardown = 'retian'"},
        "artifacts.on_teardown",
        "'retian'",
        "mean",
    ),
    ({"max_nodes": "max_nodes = 4\n[head]\nimage = 'latest'"}, "head.image", "'latest' does not", "ami-0123"),
    (
        {"max_nodes": "max_nodes = 4\n[head]\npython = 'py; rm'"},
        "head.python",
        "does not have",
        "absolute path",
    ),
]


@pytest.mark.parametrize(("edits", "path", "what", "do"), MISTAKES)
def test_a_mistake_is_told_with_where_what_and_what_to_do(
    tmp_path: Path, edits: dict[str, str], path: str, what: str, do: str
) -> None:
    problems = problems_of(tmp_path, environment_text(**edits))
    found = [problem for problem in problems if problem.path == path]
    assert found, [str(problem) for problem in problems]
    told = str(found[0]).casefold()
    assert what.casefold() in told
    assert do.casefold() in told
    assert found[0].file.endswith("vision.toml")
    for word in ("pydantic", "spec", "input_value", "extra_forbidden", "ipv4network", "model_type"):
        assert word not in re.sub(r"/\S*", "", told), told


def test_a_file_that_is_not_toml_is_told_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, 'name = "vision"\nteam = vision\n')
    assert problem.path == "line 2, column 8"
    assert "this is not TOML" in problem.what


def test_a_fleet_that_is_no_table_is_told_how_a_fleet_is_written(tmp_path: Path) -> None:
    text = environment_text().partition("[fleets.gpu]")[0] + "[fleets]\nnodes = 3\n"
    (problem,) = problems_of(tmp_path, text)
    assert (problem.path, problem.what) == ("fleets.nodes", "this is the number 3")
    assert "[fleets.NAME]" in problem.do


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = environment_text(name="name = 1", owner='owner = "me"', nodes='nodes = "two"')
    assert {problem.path for problem in problems_of(tmp_path, text)} == {"name", "owner", "fleets.gpu.nodes"}


def test_a_misspelt_key_is_one_mistake_and_not_a_missing_one_too(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, environment_text(instance_type='instance_typ = "g5.xlarge"'))
    assert problem.path == "fleets.gpu.instance_typ"
    assert "instance_type" in problem.do


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no such file\n.*fleetform init"):
        load_account(tmp_path)


def test_a_file_that_is_not_text_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "account.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        load_account(tmp_path)


def test_the_accounts_file_is_none_of_the_environments_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text(), speech=environment_text("speech"))
    assert [file.name for file in environment_files(folder)] == ["speech.toml", "vision.toml"]


def test_the_account_takes_the_defaults_of_what_it_leaves_out(tmp_path: Path) -> None:
    account = load_account(write_folder(tmp_path, account=ACCOUNT))
    assert (account.ledger.retention_days, account.ledger.retention_mode) == (365, "governance")
    assert account.limits.max_nodes_per_environment == 4


@pytest.mark.parametrize(
    ("value", "literal"),
    [(True, "true"), (3, "3"), (datetime.date(2026, 1, 2), "2026-01-02"), ('a "b" ü', '"a \\"b\\" ü"')],
)
def test_a_value_is_written_as_toml(value: object, literal: str) -> None:
    assert toml_literal(value) == literal


def test_the_specs_cost_no_command_the_heavy_packages() -> None:
    modules = "stacks.environment, stacks.account, stacks.catalog, stacks.guardrails, stacks.outputs"
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pydantic" in loaded.split()
    assert not {"cdktf", "boto3", "jinja2", "torch", "click", "moto"} & set(loaded.split())
