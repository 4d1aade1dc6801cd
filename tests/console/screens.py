"""Pictures of every page: `python -m tests.console.screens OUT [--only PART]`.

Of one environment in an embedded cloud of its own, with runs, acts, a model, a receipt and people: each page
in Korean and in English, light and dark, 1280 and 360 pixels wide, as `OUT/PAGE-LANGUAGE-COLOURS-WIDTH.png`.
A page that scrolls sideways is named at the end, and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from console.acts.spec import Up
from console.acts.watch import Place
from fleet.clock import utc_now
from fleet.cloud import choose_cloud
from fleet.policy import ROLES, Grant
from fleet.project import Project
from fleet.run_store import RunStore
from fleet.terraform_events import ProgressEvent
from sandbox import daemon
from tests.console.acting import going_on
from tests.console.browser import window
from tests.console.lab import ConsoleLab, declare_environment, serving, settings_of
from tests.console.samples import Samples, make_samples, routes
from tests.orphans_planted import Garden, plant_network, plant_others, plant_stores
from tests.run_directories import ENDED, bring_home, make, put
from tests.run_environment import RunEnvironment, build

WIDTHS, COLOURS, LANGUAGES = (1280, 360), ("light", "dark"), ("ko", "en")
NOT_PAGES = (
    "/events", ".zip", ".json", "/oidc", "/back", "/cards", "/files", "/pictures/{number}", "/now", "/money",
    "/changes", "/preview", "/table", "/session", "/list",
)  # fmt: skip
RUN, FAILED, LIVE = "20261120-093000-kmwqe", "20261121-101500-hzzta", "20261123-020000-pqrst"
_PATIENCE = 100
"""Quarters of a second for which a picture waits for a page's parts."""
STAFF = (("김서연", "operator"), ("Ann Lee", "member"), ("박지훈", "auditor"), ("Noor Haddad", "approver"))


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="pages with this in their name alone")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    program = os.environ.get("FLEETFORM_CHROMIUM") or shutil.which("chromium")
    with stage() as (lab, person, pages), sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        asked = {name: path for name, path in pages.items() if chosen.only in name}
        wrong = list(_pictures(chromium, lab, person, asked, chosen.out))
        chromium.close()
    for each in wrong:
        print(each)
    return 1 if wrong else 0


def _pictures(
    chromium: Browser, lab: ConsoleLab, login: str, pages: Mapping[str, str], out: Path
) -> Iterator[str]:
    """Take all pictures; yield what is wrong with a page."""
    for language in LANGUAGES:
        for colours in COLOURS:
            for width in WIDTHS:
                with window(chromium, lab, language=language, width=width, dark=colours == "dark") as seen:
                    suffix = f"{language}-{colours}-{width}.png"
                    for name in ("/login", "/join"):
                        _take(seen.open(name), out / f"{_file(name)}-{suffix}")
                    seen.sign_in(login)
                    for name, path in pages.items():
                        page = seen.open(path)
                        _take(page, out / f"{_file(name)}-{suffix}")
                        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                            yield f"scrolls sideways: {name} {suffix}"
                    troubles = [each for each in seen.troubles if "Failed to load resource" not in each]
                    seen.troubles.clear()
                    yield from (f"the browser tells ({suffix}): {each}" for each in troubles)


def _take(page: Page, file: Path) -> None:
    for _ in range(_PATIENCE):  # what takes long comes after the page (`later` of macros.html.j2)
        page.wait_for_timeout(250)  # what is drawn after it has come: curves
        if not page.locator("[data-later]:not(:has(.failed:not([hidden])))").count():
            break
    page.screenshot(path=file, full_page=True)


def _file(name: str) -> str:
    return re.sub(r"[^a-z_]+", "-", name.lower()).strip("-") or "home"


@contextmanager
def stage() -> Iterator[tuple[ConsoleLab, str, dict[str, str]]]:
    """Serve a console with something on every page; yields it, the login of who sees all, and the paths."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        project = Project(root=root, home=root / ".fleetform")
        project.home.mkdir()
        declare_environment(root, "vision", "tests")
        declare_environment(root, "speech", "tests")
        daemon.start(project.home)
        try:
            environment = build(choose_cloud(project, "sandbox"), project, "vision", nodes=1)
            _runs(environment.store)
            with ExitStack() as undo, serving(settings_of(root, project.home)) as lab:
                _plant(Garden(environment.session.cloud, undo))
                for name, role in STAFF:
                    lab.person(Grant(role, "tests"), name=name)  # type: ignore[arg-type]
                person = lab.person(*(Grant(role, "*") for role in ROLES), name="이하늘", login="haneul")
                samples = make_samples(lab.services, "vision", "tests", RUN, owner=person.id)
                with _acts(lab, environment) as acts:
                    yield lab, person.subject, {**_pages(samples), **acts}
        finally:
            daemon.stop(project.home)


def _pages(samples: Samples) -> dict[str, str]:
    """Return the path of every route that answers with a page."""
    found = {
        route.path: samples.path(route.path)
        for method, route in routes()
        if method == "GET" and not route.path.endswith(NOT_PAGES)
        and not route.path.startswith(("/static", "/health", "/login", "/join", "/welcome"))
    }  # fmt: skip
    runs = found["/environments/{name}/runs"]
    found["/environments/{name}/compare"] += f"?run={RUN}&run={FAILED}"
    found.update({"run-failed": f"{runs}/{FAILED}", "run-live": f"{runs}/{LIVE}", "not-here": "/nothing"})
    found["leftovers-delete-data"] = found["/leftovers/delete"] + "?data=1"
    return found


def _plant(garden: Garden) -> None:
    """Leave something over, of an environment that is gone, and some of other tools."""
    subnet = plant_network(garden)
    plant_stores(garden, subnet)
    plant_others(garden, subnet)


@contextmanager
def _acts(lab: ConsoleLab, environment: RunEnvironment) -> Iterator[dict[str, str]]:
    """Have one act go on."""
    place = Place(lab.services.settings, lab.services.database)
    with going_on(place, lab.person(name="김서연"), Up(environment="speech")) as act_id:
        folder = place.folder(act_id)
        for done in range(1, 15):
            text = f"aws_subnet.private_{done}: created"
            folder.tell(ProgressEvent(kind="done", stack="speech-base", text=text, done=done, total=41))
        yield {"act-live": f"/acts/{act_id}"}


def _runs(store: RunStore) -> None:
    """Write three runs: one that has finished with a model, one that has failed, one that goes on."""
    told = {
        "environment": "vision", "instance_type": "g5.xlarge", "price_usd_per_hour": 1.006,
        "recipe": "digits", "dataset": {"name": "digits"},
        "actor": "arn:aws:sts::123456789012:assumed-role/vision-member/seoyeon.kim",
    }  # fmt: skip
    _run(store, RUN, 3000, *ENDED, overrides=["steps=400"], **told)
    _run(store, FAILED, 1500, *ENDED[:3], "FAILED", overrides=["steps=800"], **told)
    _run(store, LIVE, 14, *ENDED[:3], **told)
    for run_id, steps in ((RUN, 400), (FAILED, 120), (LIVE, 60)):
        lines = [
            {
                "step": step, "time": utc_now(),
                "loss": 2.3 * math.exp(-step / 90) + 0.1 * math.sin(step) ** 2,
                "samples_per_s": 1800 + 40 * math.sin(step / 7), "lr": 0.001 * min(1, step / 50),
            }
            for step in range(1, steps)
        ]  # fmt: skip
        put(store, run_id, "metrics.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        log = "".join(f"step {step}: loss {line['loss']:.4f}\n" for step, line in enumerate(lines, 1))
        put(store, run_id, "logs/node-0.log", log.encode())
    speedup = {"processes": 8, "cut_percent": 61.0, "one_process": {"basis": "measured"}}
    receipt = {
        "seconds": {"total": 754.0}, "cost": {"usd": 0.21}, "speedup": speedup, "attempts": [{}],
        "goodput": {"goodput_percent": 96.0},
    }  # fmt: skip
    store.put(RUN, "receipt.json", receipt)
    about = {"model": {"kind": "digits_cnn"}, "about": {"classes": [str(digit) for digit in range(10)]}}
    files = {
        "config.json": json.dumps(about), "README.md": "# digits\n", "model.safetensors": "0" * 436_000,
        "metrics.json": json.dumps({"accuracy": 0.9972, "loss": 0.0121}),
    }  # fmt: skip
    bring_home(store, RUN, **{f"model/{name}": text for name, text in files.items()})


def _run(store: RunStore, run_id: str, minutes: float, *events: str, **told: object) -> None:
    """Write a run that was handed in so many minutes ago, and whose fourth event came after twelve more."""
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)
    make(store, run_id, *events, **{**told, "submitted": begin.isoformat()})
    lines = (store.get(run_id, "events.jsonl") or b"").splitlines()
    seconds = (1, 4, 9, 754)
    moved = [
        {**json.loads(line), "time": (begin + datetime.timedelta(seconds=after)).isoformat()}
        for line, after in zip(lines, seconds, strict=False)
    ]
    put(store, run_id, "events.jsonl", "".join(json.dumps(each) + "\n" for each in moved).encode())


if __name__ == "__main__":
    sys.exit(main())
