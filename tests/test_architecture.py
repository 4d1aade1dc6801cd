"""The rooms of docs/architecture.md, held against every import that the code makes."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("stacks", "templates", "trainer", "node", "fleet", "scripts", "console", "sandbox", "reaper")

SPECS = {
    f"stacks.{name}"
    for name in (
        "problems",
        "naming",
        "environment",
        "account",
        "catalog",
        "guardrails",
        "outputs",
        "fields",
        "spec_file",
        "network_spec",
        "fleet_spec",
        "storage_spec",
        "lustre_sizes",
        "setting_forms",
        "waivers",
        "entry_paths",
        "address_plan",
        "endpoint_services",
        "interfaces",
        "lease_rules",
        "boundary",
        "budget_policy",
        "policies",
        "price_rules",
        "starter_spec",
    )
}
LEDGER = {
    "trainer.numbers.goodput",
    "trainer.numbers.goodput_events",
    "trainer.numbers.goodput_ledger",
    "trainer.numbers.closing",
}
"""What reads a run's time and says it in words: the standard library alone."""
ARROWS: dict[str, set[str]] = {
    "stacks": {"templates"},
    "templates": set(),
    "trainer": set(),
    "node": set(),
    "fleet": {*SPECS, "templates", "trainer.config", "node.speedup", *LEDGER},
    "scripts": {
        "fleet",
        *SPECS,
        "sandbox.daemon",
        "node.speedup_lines",
        "trainer.predictors.show",
        "console.serve",
        "console.settings",
    },
    "console": {"fleet", *SPECS, "templates"},
    "sandbox": set(),
    "reaper": {"fleet.chain", "fleet.checkpoint_check", "fleet.checkpoints"},
}
"""What each room may import of the others: a whole room, or single modules of it."""

DOORS: dict[str, set[str]] = {
    "cdktf": {"stacks/cdk.py"},
    "cdktn": {"stacks/cdk.py"},
    "constructs": {"stacks/cdk.py"},
    "jinja2": {"templates/engine.py"},
    "torch": {"trainer/"},
    "click": {"scripts/"},
    "matplotlib": {"fleet/charts.py"},
    "fastapi": {"console/app.py", "console/web/", "console/pages/", "console/live/"},
    "starlette": {"console/app.py", "console/web/", "console/pages/", "console/live/"},
    "uvicorn": {"console/serve.py"},
    "sqlalchemy": {"console/store/", "console/people/"},
    "alembic": {"console/store/"},
    "authlib": {"console/people/oidc.py"},
    "joserfc": {"console/people/oidc.py"},
    "argon2": {"console/people/passwords.py"},
    "babel": {"console/words/"},
    "moto": {"sandbox/"},
    "boto3": {"fleet/aws.py", "node/aws.py", "reaper/aws.py", "trainer/aws.py", "sandbox/"},
    "botocore": {"fleet/aws.py", "node/aws.py", "reaper/aws.py", "trainer/aws.py", "sandbox/"},
}
"""Outside packages and the only files (or rooms) that may import them."""

NODE_PACKAGES = {"boto3", "botocore"}
MAX_LINES = 250
MAX_FUNCTION_LINES = 40
LONGER = {
    "stacks/audit_buckets.py:add_audit_buckets": 41,
    "stacks/audit_buckets.py:_record_statements": 47,
    "stacks/lease.py:add_lease": 48,
    "stacks/reaper.py:_add_function": 45,
    "stacks/reaper.py:_add_alarms": 48,
    "stacks/shared_files.py:add_shared_files": 52,
}
"""Modules and functions that are longer than that, with their lines: these may shrink, and none is added."""


def modules() -> Iterator[Path]:
    """Yield every Python file of the rooms, generated ones left out."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            if "generated" not in file.parts:
                yield file


@functools.cache
def parsed(file: Path) -> ast.Module:
    """Return the file's syntax; every test asks for that of hundreds of files."""
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def imports(file: Path) -> frozenset[str]:
    """Return the dotted names that the file imports, anywhere in it."""
    found: set[str] = set()
    for statement in ast.walk(parsed(file)):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{file}: imports are absolute"
            assert statement.module is not None
            found |= {f"{statement.module}.{alias.name}" for alias in statement.names} | {statement.module}
    return frozenset(found)


def crosses(imported: str, allowed: set[str]) -> bool:
    """Return whether an import of another room is none of the allowed ones."""
    return not any(
        imported == each or imported.startswith(f"{each}.") or each.startswith(f"{imported}.")
        for each in allowed
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_the_rooms_that_its_arrows_allow(room: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {imported}"
        for file in modules()
        if file.relative_to(ROOT).parts[0] == room
        for imported in imports(file)
        if (other := imported.split(".")[0]) in ROOMS and other != room and crosses(imported, ARROWS[room])
    ]
    assert not wrong


def test_the_page_names_every_module_of_the_stacks_that_other_rooms_may_import() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    paragraph = page.partition('"Specs and outputs only" means')[2].partition("`fleet/` runs")[0]
    named = {f"stacks.{name}" for name in re.findall(r"`([a-z_]+)`", paragraph)}
    assert named == SPECS


@pytest.mark.parametrize("package", DOORS)
def test_an_outside_package_enters_by_its_one_door(package: str) -> None:
    wrong = [
        str(name)
        for file in modules()
        if package in {imported.split(".")[0] for imported in imports(file)}
        and not any((name := file.relative_to(ROOT)).as_posix().startswith(door) for door in DOORS[package])
    ]
    assert not wrong


@pytest.mark.parametrize("room", ["node", "reaper"])
def test_what_travels_needs_nothing_but_the_standard_library_and_boto3(room: str) -> None:
    allowed = set(sys.stdlib_module_names) | NODE_PACKAGES | {room}
    wrong = [
        f"{file.name} imports {imported}"
        for file in sorted((ROOT / room).rglob("*.py"))
        for imported in imports(file)
        if imported.split(".")[0] not in allowed and not _travels_along(room, imported)
    ]
    assert not wrong


def _travels_along(room: str, imported: str) -> bool:
    """Return whether it is the ledger's form, which goes into the reaper's archive too."""
    return room == "reaper" and (imported == "fleet" or not crosses(imported, ARROWS["reaper"]))


def test_only_the_terraform_door_starts_terraform() -> None:
    allowed = {
        "fleet/terraform.py",  # the door
        "fleet/synth.py",  # python -m stacks.app
        "fleet/datasets.py",  # python -m trainer.prepare
        "fleet/git_state.py",  # git, read only
        "fleet/session_plugin.py",  # the door of AWS's session-manager-plugin
        "fleet/speedup_runs.py",  # python -m trainer.launch, for trials on this machine
        "fleet/trainer_process.py",  # python -m trainer.look and trainer.prepare, on strangers' files
        "fleet/warm_process.py",  # python -m trainer.predict --serve
        "fleet/checkov.py",  # the door of checkov, whose pins forbid importing it
    }
    wrong = [
        str(name)
        for file in (ROOT / "fleet").rglob("*.py")
        if "subprocess" in imports(file) and (name := file.relative_to(ROOT)).as_posix() not in allowed
    ]
    assert not wrong


def test_every_package_marker_is_empty() -> None:
    rooms = (*ROOMS, "tests", "benchmarks")
    markers = [file for room in rooms for file in (ROOT / room).rglob("__init__.py")]
    assert [str(file) for file in markers if file.stat().st_size] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(file.relative_to(ROOT))
        for file in modules()
        if file.name != "__init__.py" and not ast.get_docstring(parsed(file))
    ]
    assert not silent


def lengths() -> Iterator[tuple[str, int, int]]:
    """Yield every module and function with its lines and its budget."""
    for file in modules():
        name = file.relative_to(ROOT).as_posix()
        yield name, len(file.read_text(encoding="utf-8").splitlines()), MAX_LINES
        for each in ast.walk(parsed(file)):
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                assert each.end_lineno is not None
                yield f"{name}:{each.name}", each.end_lineno - each.lineno + 1, MAX_FUNCTION_LINES


def test_no_module_and_no_function_is_longer_than_its_budget() -> None:
    long = {name: lines for name, lines, budget in lengths() if lines > LONGER.get(name, budget)}
    assert long == {}


def test_an_exception_that_has_become_short_enough_is_no_exception_any_more() -> None:
    budgets = {name: (lines, budget) for name, lines, budget in lengths()}
    assert not [name for name in LONGER if name not in budgets or budgets[name][0] <= budgets[name][1]]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("scripts.cli", {"boto3", "botocore", "pydantic", "jinja2", "cdktf", "torch"}),
        ("stacks.guardrails", {"boto3", "cdktf", "torch"}),
        ("fleet.session", {"boto3", "cdktf", "torch", "jinja2"}),
        ("fleet.submit", {"cdktf", "torch"}),
        ("fleet.teardown", {"cdktf", "torch"}),
        ("trainer.config", {"torch", "numpy"}),
        ("trainer.numbers.closing", {"torch", "numpy", "matplotlib"}),
        ("fleet.goodput_report", {"torch", "matplotlib", "cdktf"}),
        ("sandbox.daemon", {"moto", "flask", "boto3"}),
    ],
)
def test_importing_a_module_does_not_pay_for_what_it_may_not_need(module: str, heavy: set[str]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert heavy & set(loaded.stdout.split()) == set()
