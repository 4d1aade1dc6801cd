"""One thing of each kind that an address of the console can name: for what is asked of every route.

Which kind a parameter names is told by the part of the path before it: `/environments/{name}/runs/{run_id}`
names an environment and a run. Whoever adds a kind adds its thing; `Samples.path` fails without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from console import launches
from console.acts.spec import Up, command_of, to_dict, verb_of
from console.pages.routes import ROUTERS
from console.people import accounts
from console.services import Services
from console.store.columns import new_id, utc_now
from console.store.work_tables import ActRow, UploadRow
from fleet.policy import Grant

_PARAMETER = re.compile(r"\{[^}]+\}")


@dataclass(frozen=True)
class Samples:
    """Things by the part of a path that comes before them."""

    things: Mapping[str, str]

    def path(self, template: str) -> str:
        """Return the route's path that names these things."""
        parts = template.split("/")
        for at, part in enumerate(parts):
            if _PARAMETER.fullmatch(part):
                assert parts[at - 1] in self.things, f"{template}: no sample of what `{parts[at - 1]}` names"
                parts[at] = self.things[parts[at - 1]]
        return "/".join(parts)


def absent(template: str) -> str:
    """Return the route's path of things that there are not."""
    return _PARAMETER.sub("absent", template)


def make_samples(services: Services, environment: str, team: str, run_id: str, *, owner: str = "") -> Samples:
    """Make what a console over a standing environment with a run does not have yet.

    `owner` is the id of whose launch and upload they are, "" for somebody of the team.
    """
    with services.database.writing() as database:
        person = accounts.create_account(
            database, name="Sam Ple", login=f"sample-{new_id()}", password="x" * 20,
            grants=[Grant("viewer", team)],
        )  # fmt: skip
        act = Up(environment=environment)
        act_row = ActRow(
            id=new_id(), person_id=person.id, environment=environment, verb=verb_of(act), about=to_dict(act),
            command=command_of(act), state="stopped", ended_at=utc_now(), said={"message": "as asked"},
        )  # fmt: skip
        database.add(act_row)
        launch = launches.make(
            database, owner or person.id, team, environment=environment, known="digits", want="sort-pictures"
        )
        upload = UploadRow(
            id=new_id(),
            person_id=owner or person.id,
            team=team,
            kind="pictures",
            state="open",
            about={"name": "Sample", "files": 1},
        )  # fmt: skip
        database.add(upload)
    receipt = write_receipt(services.settings.project.root, environment)
    return Samples(
        {
            "environments": environment,
            "runs": run_id,
            "acts": act_row.id,
            "people": person.id,
            "receipts": receipt,
            "launch": launch.id,
            "approvals": launch.id,
            "uploads": upload.id,
            "files": "0",
            "pictures": "0",
            "record": environment,
            "servers": "i-0123456789abcdef0",
            "entries": "1",
            "packs": "pack",
            "known": "digits",
            "static": "0123456789abcdef",
            "0123456789abcdef": "app.css",
        }
    )


def write_receipt(root: Path, environment: str, **changes: Any) -> str:
    """Write the receipt of a teardown, as `fleetform down` leaves it, and return its name."""
    name = f"{environment}-20260101T000000"
    stack = {
        "stack": f"{environment}-fleet", "fate": "destroyed", "resources": ["aws_instance.head"],
        "created": "2025-12-31T20:30:00+00:00", "ended": "2026-01-01T00:00:00+00:00", "hours_lived": 3.5,
        "usd_per_hour": 1.006, "usd_estimated": 12.34,
    }  # fmt: skip
    kept = {
        "kind": "KMS key", "id": "1234abcd-12ab-34cd-56ef-1234567890ab", "name": f"{environment}-data",
        "usd_per_hour": 0.0014, "note": "ends by itself in 30 days",
    }  # fmt: skip
    told = {
        "environment": environment, "ended": "2026-01-01T00:00:00+00:00", "actor": "tests", "proven": True,
        "prices": "catalog of 2026-01", "cloud": "sandbox", "region": "us-east-1", "anyway": "",
        "overridden": [], "stacks": [stack], "machines": [], "left": [], "kept": [kept],
        "not_looked": [], **changes,
    }  # fmt: skip
    folder = root / "receipts" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "receipt.json").write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return name


def routes() -> Iterator[tuple[str, APIRoute]]:
    """Yield every route of the console with each of its methods."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in sorted(route.methods or ()):
                    yield method, route


def query_names(route: APIRoute) -> list[str]:
    """Return the names of all parameters that a route reads from the query."""
    return sorted({field.alias for each in _dependants(route.dependant) for field in each.query_params})


def form_names(route: APIRoute) -> list[str]:
    """Return the names of all fields that a route reads from a form."""
    return sorted({field.alias for each in _dependants(route.dependant) for field in each.body_params})


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _dependants(each)
