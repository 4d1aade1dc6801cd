"""Fixtures of the console's tests: a console over the sandbox, and a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import delete, func, select

from console import closer
from console.people import passwords
from console.records import index
from console.settings import Settings
from console.store.people_tables import AttemptRow
from fleet.cloud import Cloud
from fleet.environment import read_outputs
from fleet.job import JobSpec
from fleet.project import Project
from fleet.runs import read_run
from fleet.submit import submit
from tests.console.lab import ConsoleLab, declare_environment, serving, settings_of
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import wait_for

DEAR = passwords._HASHER
"""What passwords are really kept with."""
CHROMIUMS = ("chromium-headless-shell", "chromium")
"""The first one is the same without the windows around its pages, which take half of the time."""
_FAILURES = 10
"""How many failed sign-ins are left to the next test: an address may have four times as many."""


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Hash with little work: hundreds sign in, and what makes it dear is argon2's own."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_HASHER", quick)
        patch.setattr(passwords, "_NOBODYS", quick.hash("a password that nobody has"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _patient_record() -> Iterator[None]:
    """Look at what is new each time: what a test has just done is to be on its next page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "PATIENCE_SECONDS", index.WAIT_SECONDS)
        patch.setattr(closer, "ENTERED", (0.0, 0.0))
        yield


@pytest.fixture(autouse=True)
def _forgiven(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the failed sign-ins of earlier tests not keep a later one out: all come from one address."""
    wanted = {name for name in ("lab", "studio") if name in request.fixturenames}
    labs = [request.getfixturevalue(name) for name in wanted]
    yield
    for each in labs:
        _forget_failures(each.lab if isinstance(each, Studio) else each)


def _forget_failures(lab: ConsoleLab) -> None:
    with lab.services.database.reading() as database:
        found = database.scalar(select(func.count()).select_from(AttemptRow)) or 0
    if found >= _FAILURES:
        with lab.services.database.writing() as database:
            database.execute(delete(AttemptRow))


@dataclass(frozen=True)
class Studio:
    """A console over an environment that stands, with a run that has ended."""

    lab: ConsoleLab
    environment: RunEnvironment
    run_id: str


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleLab]:
    """A console over a project that declares nothing, so that no cloud is contacted; shared by all tests."""
    with serving(_nothing(tmp_path_factory.mktemp("console"))) as found:
        yield found


@pytest.fixture
def own_lab(tmp_path: Path) -> Iterator[ConsoleLab]:
    """The same, for one test alone: nobody has an account, and no attempt has failed."""
    with serving(_nothing(tmp_path)) as found:
        yield found


def _nothing(root: Path) -> Settings:
    (root / "environments").mkdir()
    return settings_of(root, root / ".fleetform", cloud="aws")


@pytest.fixture(scope="session")
def studio(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """The environment `studio` of the team `tests`, which stands, and `vault` of the team `others`."""
    root = tmp_path_factory.mktemp("studio")
    declare_environment(root, "studio", "tests")
    declare_environment(root, "vault", "others")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "studio", nodes=1)
    script = root / "ok.py"
    script.write_text("print('done')\n", encoding="utf-8")
    run_id = _ended_run(environment, script)
    with serving(settings_of(root, sandbox_home)) as lab:
        yield Studio(lab, environment, run_id)
    environment.remove()


def _ended_run(environment: RunEnvironment, script: Path) -> str:
    """Run a script on the environment and return its id once it has ended."""
    session = environment.session
    outputs = read_outputs(session)
    job = JobSpec(environment=session.spec.name, script=script, procs_per_node=1)
    run_id = submit(session, outputs, job).run_id
    wait_for(lambda: not read_run(environment.store, run_id).active, seconds=120)
    return run_id


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real Chromium without a window."""
    named = (os.environ.get("FLEETFORM_CHROMIUM"), *map(shutil.which, CHROMIUMS))
    program = next((each for each in named if each), None)
    if program is None:
        pytest.skip("there is no Chromium here: install `chromium`, or name one in FLEETFORM_CHROMIUM")
    with sync_playwright() as playwright:
        # Chromium has no sandbox of its own for root, as whom containers run.
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()
