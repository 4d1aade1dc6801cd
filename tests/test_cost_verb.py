"""`fleetform cost`: what an environment in the embedded cloud came to, as a table and as data that add up."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.declare import declare
from fleet.project import Project
from scripts import cli
from stacks.catalog import load_catalog
from tests.purse import forget_runs, put_receipt, put_run
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build
from tests.sandbox_helpers import admin

pytestmark = pytest.mark.sandbox
MINUTE = datetime.timedelta(minutes=1)


@pytest.fixture(scope="module")
def shop(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("project")
    for name in ("bakery", "nursery"):
        declare(
            root, name, team="tests", owner="tests@example.com", region=REGION, usd_per_month=500,
            instance_type=INSTANCE_TYPE, nodes=1, organization="run-tests",
        )  # fmt: skip
    environment = build(sandbox, Project(root=root, home=sandbox_home), "bakery", nodes=1)
    yield environment
    environment.remove()


@pytest.fixture
def trained(
    shop: RunEnvironment, sandbox_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunEnvironment]:
    """The environment with a run that succeeded and one that failed at once, in its project."""
    forget_runs(shop)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    for run_id, outcome, minutes in (
        ("20991122-100000-aaaaa", "SUCCEEDED", 60),
        ("20991122-110000-bbbbb", "FAILED", 6),
    ):
        begun = now - (minutes + 1) * MINUTE
        put_run(
            shop,
            run_id,
            begun,
            [],
            instance_type=INSTANCE_TYPE,
            actor=f"arn:aws:iam::123456789012:user/{outcome.lower()}",
        )
        put_receipt(shop, run_id, begun, now - MINUTE, outcome=outcome)
    monkeypatch.chdir(shop.session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")
    yield shop
    forget_runs(shop)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert cli.main(["cost", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.fixture
def since() -> str:
    """Yesterday, for a test that runs in the first hours of a month."""
    return f"{datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1):%Y-%m-%d}"


def test_a_run_costs_its_nodes_for_its_time(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    found = told(capsys, "bakery", "--by", "run", "--since", since)
    rows = {each["key"]: each for each in found["rows"]}
    good, bad = rows["20991122-100000-aaaaa"], rows["20991122-110000-bbbbb"]
    assert (good["gpu_hours"], bad["gpu_hours"]) == (2.0, 0.2), "two nodes of one GPU each"
    assert good["by_use"]["useful"]["gpu_hours"] == 2.0
    assert bad["by_use"]["failed_launch"]["gpu_hours"] == 0.2
    price, gib = (
        load_catalog()[INSTANCE_TYPE].price_usd_per_hour,
        trained.session.spec.fleets["gpu"].root_volume_gib,
    )
    assert good["micro_usd"] == pytest.approx(2 * (price + 0.08 * gib / 730) * 1e6, abs=1)
    assert sum(each["micro_usd"] for each in found["lines"]) == pytest.approx(
        found["total"]["micro_usd"], abs=50
    )


def test_the_table_has_a_row_each_and_one_for_all(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    assert cli.main(["cost", "bakery", "--by", "person", "--since", since]) == 0
    shown = capsys.readouterr()
    head, _, *rows = shown.out.splitlines()
    assert head.split()[:3] == ["person", "useful", "h"] and head.split()[-1] == "USD"
    assert {row.split("  ")[0] for row in rows} >= {"succeeded", "failed", "all"}
    assert rows[-1].startswith("all")
    assert "the catalogue of fleetform, list prices of us-east-1" in shown.err


def test_every_environment_is_told_of_without_a_name_and_a_choice_leaves_the_rest_out(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    both = told(capsys, "--by", "environment", "--since", since, "--no-trail")
    assert {each["key"] for each in both["rows"]} <= {"bakery", "nursery"}
    one = told(capsys, "--person", "failed", "--since", since)
    assert {each["run"] for each in one["lines"]} == {"20991122-110000-bbbbb"}
    assert any(note.startswith("bakery: the trail was not read") for note in both["notes"])


def test_what_was_billed_stands_beside_what_it_came_to(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    told_of = {"fleetform:environment": "bakery"}
    admin(trained.session.cloud, "POST", "bill", {"date": since, "tags": told_of, "usd": "3.14159"})
    words = ["bakery", "--by", "environment", "--billed", "--since", since]
    (row,) = told(capsys, *words)["rows"]
    assert (row["key"], row["billed_usd"]) == ("bakery", "3.14")
    assert cli.main(["cost", *words]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].endswith("billed") and shown.out.splitlines()[-1].endswith("3.14")
    assert "billed: Cost Explorer, unblended, by tag: 3.14 USD" in shown.err


def test_a_bill_that_there_is_not_is_not_made_up(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], since: str
) -> None:
    found = told(capsys, "nursery", "--by", "day", "--billed", "--since", since)
    assert found["billed"]["micro_usd"] == 0 and found["billed"]["why_none"]
    assert {each["billed_usd"] for each in found["rows"]} <= {None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--by", "teem"], "did you mean 'team'?"),
        (["--since", "monday"], "write the day as 2026-11-23"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "ends before it begins"),
    ],
)
def test_a_mistake_is_told_with_what_to_do(
    trained: RunEnvironment, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert cli.main(["cost", "bakery", *words]) == 2
    assert said in capsys.readouterr().err
