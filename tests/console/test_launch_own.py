"""A launch with data of one's own: the columns are the table's, it is looked at again, and trained on."""

from __future__ import annotations

import random

import pytest

from console.acts.watch import Place
from fleet.runs import read_run
from tests.console import uploading
from tests.console.acting import ended
from tests.console.conftest import Studio
from tests.console.lab import Visitor
from tests.console.launching import begin, press, resize
from tests.sandbox_helpers import wait_for

pytestmark = [pytest.mark.console, pytest.mark.sandbox]


def customers(rows: int = 240) -> bytes:
    """Return a table in which the age decides who stays; the customer's number and the land say nothing."""
    generator = random.Random(1)
    ages = [generator.randint(18, 80) for _ in range(rows)]
    lines = [f"c{number},{age},{'yes' if age > 45 else 'no'},kr" for number, age in enumerate(ages)]
    return "\n".join(["customer,age,stays,land", *lines, ""]).encode()


def bring(studio: Studio, visitor: Visitor) -> str:
    """Bring the table and return the upload's id once it can be trained on."""
    files = {"customers.csv": customers()}
    upload_id = uploading.begin(visitor, "table", files)
    uploading.send(visitor, upload_id, files)
    uploading.done(visitor, upload_id)
    assert uploading.checked(studio.lab, upload_id).state == "ready"
    return upload_id


def test_a_table_of_ones_own_is_trained_on(studio: Studio) -> None:
    visitor, other = studio.lab.signed_in("member"), studio.lab.signed_in("member")
    upload_id, path = bring(studio, visitor), begin(visitor)
    page = visitor.get(f"{path}/data?upload={upload_id}").text
    assert "customers" in page and "240 rows" in page and "Learn from this data" in page
    theirs = begin(other)
    stolen = other.post(f"{theirs}/data", {"upload": upload_id}, page=f"{theirs}/data")
    assert stolen.status_code == 409, "another's data is not there"
    visitor.post(f"{path}/data", {"upload": upload_id}, page=f"{path}/data")
    page = visitor.get(f"{path}/recipe").text
    assert '<option value="stays">' in page and 'type="checkbox" name="knob-ignore" value="customer"' in page
    assert "land (can&#39;t be predicted)</option>" in page, "it is told before it is chosen"
    wrong = {"want": "predict-column", "knob-target": "stayz", "knob-passes": "5"}
    answer = visitor.post(f"{path}/recipe", wrong, page=f"{path}/recipe")
    assert answer.status_code == 422 and 'id="knob-target-fault"' in answer.text
    useless = {**wrong, "knob-target": "customer"}
    answer = visitor.post(f"{path}/recipe", useless, page=f"{path}/recipe")
    assert answer.status_code == 422 and 'role="alert"' in answer.text
    right = {**wrong, "knob-target": "stays", "knob-ignore": "customer"}
    answer = visitor.post(f"{path}/recipe", right, page=f"{path}/recipe")
    assert answer.headers["location"] == f"{path}/review", answer.text
    resize(visitor, path, minutes=30)
    assert "Columns to leave out: customer" in visitor.get(f"{path}/review?look=1").text
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    started = press(studio.lab, visitor, path)
    found = ended(place, started.headers["location"].removeprefix("/acts/"), 120)
    assert found.state == "done", found.said
    run_id, store = found.said["run"], studio.environment.store
    wait_for(lambda: not read_run(store, run_id).active, 180)
    assert read_run(store, run_id).state == "SUCCEEDED"
    summary = store.get_json(run_id, "summary.json") or {}
    assert summary, "the run has told what came of it"
