"""Prices are AWS's own where its list answers, kept with their date, and else the dated catalogue's."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from fleet import aws
from fleet.cloud import Cloud
from fleet.costs import price_list as module
from fleet.costs.amounts import exact
from fleet.costs.price_list import PriceList, price_list
from fleet.costs.prices import Prices
from fleet.job import JobSpec, build_request
from fleet.list_prices import at_list_price, list_prices
from fleet.project import Project
from fleet.run_costs import ask_of
from fleet.session import Session
from stacks.catalog import load_catalog
from stacks.outputs import FleetOutputs
from tests.environment_parts import make_specs

REGION = "ap-northeast-2"
CLOUD = Cloud("aws")
TODAY = datetime.datetime.now(datetime.UTC).date()


def product(*usd: str, unit: str = "Hrs") -> str:
    """Return one product as GetProducts answers it: JSON in a text."""
    dimensions = {f"D{at}": {"unit": unit, "pricePerUnit": {"USD": each}} for at, each in enumerate(usd)}
    return json.dumps({"product": {}, "terms": {"OnDemand": {"T": {"priceDimensions": dimensions}}}})


class Pricing:
    """The Price List API, with prices by instance type."""

    def __init__(self, prices: dict[str, list[str]]) -> None:
        self.prices, self.asked = prices, list[dict[str, str]]()

    def get_paginator(self, name: str) -> Pricing:
        assert name == "get_products"
        return self

    def paginate(self, *, ServiceCode: str, Filters: list[dict[str, str]]) -> Iterator[dict[str, Any]]:  # noqa: N803
        assert ServiceCode == "AmazonEC2" and {each["Type"] for each in Filters} == {"TERM_MATCH"}
        self.asked.append({each["Field"]: each["Value"] for each in Filters})
        for each in self.prices.get(self.asked[-1]["instanceType"], []):
            yield {"PriceList": [each]}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, home=tmp_path / "home")


@pytest.fixture
def pricing(monkeypatch: pytest.MonkeyPatch) -> Pricing:
    found = Pricing({"g5.xlarge": [product("1.2370000000")], "m6i.large": [product("0.1180000000")]})

    def client(cloud: Cloud, service: str, region: str, **_: Any) -> Pricing:
        assert (service, region) == ("pricing", "us-east-1"), "few regions serve it"
        return found

    monkeypatch.setattr(aws, "client", client)
    return found


def test_what_aws_says_is_kept_with_its_date_and_not_asked_again_in_the_week(
    project: Project, pricing: Pricing
) -> None:
    for _ in range(2):
        found = price_list(project, CLOUD, REGION, ["m6i.large", "g5.xlarge", "g5.xlarge"])
        assert found == PriceList(REGION, TODAY, {"g5.xlarge": "1.2370000000", "m6i.large": "0.1180000000"})
    assert [each["instanceType"] for each in pricing.asked] == ["g5.xlarge", "m6i.large"]
    assert pricing.asked[0] == {
        "operatingSystem": "Linux", "preInstalledSw": "NA", "tenancy": "Shared", "capacitystatus": "Used",
        "instanceType": "g5.xlarge", "regionCode": REGION,
    }  # fmt: skip


@pytest.mark.parametrize(
    "answers",
    [[], [product("1.0"), product("2.0")], [product("0.0000000000")], [product("1.0", unit="Quantity")],
     [product("nan")], [json.dumps({"terms": {}})]],
    ids=["nothing", "two prices", "free", "other unit", "no number", "no terms"],
)  # fmt: skip
def test_a_type_without_one_price_has_none(project: Project, pricing: Pricing, answers: list[str]) -> None:
    pricing.prices["p5.48xlarge"] = answers
    found = price_list(project, CLOUD, REGION, ["g5.xlarge", "p5.48xlarge"])
    assert found is not None and list(found.usd_per_hour) == ["g5.xlarge"]


@pytest.mark.parametrize(
    "error",
    [
        EndpointConnectionError(endpoint_url="x"),
        ClientError({"Error": {"Code": "AccessDenied"}}, "GetProducts"),
    ],
    ids=["silence", "refusal"],
)
def test_where_the_list_does_not_answer_the_older_one_counts_and_else_none(
    project: Project, pricing: Pricing, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    found = price_list(project, CLOUD, REGION, ["g5.xlarge"])
    monkeypatch.setattr(Pricing, "paginate", refuse)
    assert price_list(project, CLOUD, "us-east-1", ["g5.xlarge"]) is None
    monkeypatch.setattr(module, "_KEPT", datetime.timedelta(0))
    assert price_list(project, CLOUD, REGION, ["g5.xlarge"]) == found


def test_a_broken_file_is_asked_for_anew(project: Project, pricing: Pricing) -> None:
    found = price_list(project, CLOUD, REGION, ["g5.xlarge"])
    (file,) = (project.home / "prices").iterdir()
    file.write_text("no JSON")
    assert price_list(project, CLOUD, REGION, ["g5.xlarge"], ask=False) is None
    assert price_list(project, CLOUD, REGION, ["g5.xlarge"]) == found


def test_what_the_list_lacks_is_the_catalogue_s_and_the_answer_says_which() -> None:
    _, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1, "root_volume_gib": 730}})
    listed = Prices(REGION, PriceList(REGION, TODAY, {"g5.xlarge": "1.237"}))
    assert listed.of_type("g5.xlarge") == exact("1.237")
    assert listed.of_type("m6i.large") == exact(load_catalog()["m6i.large"].price_usd_per_hour)
    assert listed.of_type("x9.huge") is None
    assert listed.of_machine(spec, "gpu", "g5.xlarge") == exact("1.237") + exact("0.08"), "with its disk"
    assert f"AWS Price List API, {REGION}, asked on {TODAY}" in listed.notes[0]
    assert "those of ap-northeast-2 may differ" in Prices(REGION, None).notes[0]


def test_a_budget_counts_machines_and_runs_at_the_prices_that_this_project_has_been_given(
    project: Project, pricing: Pricing
) -> None:
    account, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1}})
    session = Session(project, CLOUD, account, spec)
    kind = spec.fleets["gpu"].instance_type
    before = list_prices(session, [kind])
    assert pricing.asked == [] and before.listed is None
    assert before.of_type(kind) == exact(load_catalog()[kind].price_usd_per_hour)
    pricing.prices[kind] = [product("9.8700000000")]
    asked = list_prices(session, [kind], ask=True)
    assert asked.of_type(kind) == exact("9.87") and "AWS Price List API" in asked.notes[0]
    assert list_prices(session, [kind]).of_type(kind) == exact("9.87"), "a submit asks nobody"
    assert len(pricing.asked) == 1
    outputs = {
        "gpu": FleetOutputs(
            group="g", nodes=1, max_nodes=1, instance_type=kind, gpus_per_node=1, purchase="on_demand"
        )
    }
    job = JobSpec(environment="vision", recipe="digits", max_minutes=60)
    request = at_list_price(session, build_request(job, outputs))
    assert ask_of(request.to_dict()).usd == pytest.approx(9.87)
