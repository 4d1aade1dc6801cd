"""Writes docs/environment.md from the specs themselves: `python -m stacks.reference`."""

from __future__ import annotations

from pathlib import Path

from stacks.account import AccountSpec
from stacks.account_rules import ACCOUNT_ERRORS, ACCOUNT_WARNINGS
from stacks.catalog import InstanceType, load_catalog
from stacks.environment import EnvironmentSpec
from stacks.fields import Spec, documented, toml_literal
from stacks.guardrails import networks_are_apart
from stacks.price_rules import limited_teams_have_an_environment, teams_stay_within_their_limits
from stacks.rules import ERRORS, WARNINGS
from templates.engine import render
from templates.environment_file import InstanceRow, ReferencePage, SettingRow

PAGE = Path(__file__).parent.parent / "docs" / "environment.md"


def reference_page() -> str:
    """Return the page's text: every setting, every rule, every instance type."""
    catalog = load_catalog()
    newest = max(catalog.values(), key=lambda found: found.price_date)
    page = ReferencePage(
        environment=_settings(EnvironmentSpec),
        account=_settings(AccountSpec),
        errors=tuple(
            _sentence(rule)
            for rule in (*ERRORS, networks_are_apart, teams_stay_within_their_limits, *ACCOUNT_ERRORS)
        ),
        warnings=tuple(
            _sentence(rule) for rule in (*WARNINGS, limited_teams_have_an_environment, *ACCOUNT_WARNINGS)
        ),
        instances=tuple(_instance(found, newest) for found in catalog.values()),
        price_region=newest.price_region,
        price_date=str(newest.price_date),
    )
    return render(page)


def _settings(model: type[Spec]) -> tuple[SettingRow, ...]:
    return tuple(
        SettingRow(
            path=doc.path,
            doc=doc.doc,
            form=doc.form,
            unit=doc.unit,
            default="" if doc.required or doc.table else toml_literal(doc.default),
            choices=tuple(toml_literal(choice) for choice in doc.choices),
            change=doc.change,
            why=doc.why,
            table=doc.table,
        )
        for doc in documented(model)
    )


def _sentence(rule: object) -> str:
    """Return what a rule says of itself: the first line of its docstring."""
    assert rule.__doc__, f"{rule} does not say what it asks"
    return rule.__doc__.strip().splitlines()[0]


def _instance(found: InstanceType, newest: InstanceType) -> InstanceRow:
    """Return the row of a type; what its price has in common with the newest one is not said again."""
    gpus = f"{found.gpus} x {found.gpu_model} {found.gpu_memory_gib:g} GiB" if found.gpus else "-"
    notes = [
        "" if found.on_demand else "capacity blocks alone",
        "" if found.price_region == newest.price_region else found.price_region,
        "" if found.price_date == newest.price_date else str(found.price_date),
        "not verified" if found.price_source.startswith("not verified") else "",
    ]
    return InstanceRow(
        name=found.name,
        gpus=f"{found.neuron_devices} x Trainium, no GPU" if found.neuron_devices else gpus,
        vcpus=found.vcpus,
        memory_gib=f"{found.memory_gib:g}",
        network_gbps=f"{found.network_gbps:g}",
        efa=str(found.efa_interfaces or "-"),
        disks=f"{found.disks} x {found.disk_gb}" if found.disks else "-",
        quota=found.quota_family,
        usd_per_hour=f"{found.price_usd_per_hour:.4f}",
        price_note=", ".join(filter(None, notes)),
    )


if __name__ == "__main__":
    PAGE.write_text(reference_page(), encoding="utf-8")
