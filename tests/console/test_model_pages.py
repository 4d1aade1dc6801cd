"""Trying a run's model and taking it home: by whom, what is answered, and what goes on record."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser

from fleet.run_store import RunStore
from tests.console.browser import assert_accessible, window
from tests.console.conftest import Studio
from tests.console.lab import OURS, Visitor
from tests.run_directories import ENDED, make, put
from tests.test_recipe_export import make_model

pytestmark = [pytest.mark.console, pytest.mark.sandbox, pytest.mark.torch]
RUN, PLAIN, ODD = "20260102-000000-model", "20260102-000001-plain", "20260102-000002-oddly"
PATH = f"/environments/studio/runs/{RUN}"


@pytest.fixture(scope="module")
def model_studio(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """The studio with a run that has left a model, one that has not, and one with odd names of columns."""
    store = studio.environment.store
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.delenv("FLEETFORM_DATA_DIR", raising=False)
        folder = make_model("digits", tmp_path_factory.mktemp("digits"), "program=false") / "model"
    for run_id in (RUN, PLAIN, ODD):
        make(store, run_id, *ENDED, environment="studio", overrides=["samples=5"])
    leave(store, RUN, {f"model/{path.name}": path.read_bytes() for path in folder.iterdir()})
    column = {"name": "<script>alert(1)</script>", "kind": "category", "values": ['"><img src=x>']}
    store.put(ODD, "model/config.json", {"model": {"kind": "mlp"}, "about": {"columns": [column]}})
    return studio


def leave(store: RunStore, run_id: str, files: dict[str, bytes]) -> None:
    """Write a run's files, and the list that its node makes of them."""
    listed: list[dict[str, Any]] = []
    for name, body in files.items():
        put(store, run_id, name, body)
        digest = hashlib.sha256(body).hexdigest()
        listed.append({"key": f"runs/{run_id}/{name}", "size": len(body), "sha256": digest})
    store.put(run_id, "outputs/node-0.json", {"rank": 0, "exit_code": 0, "files": listed})


def picture(colour: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("L", (60, 60), colour).save(file, "PNG")
    return file.getvalue()


def show(visitor: Visitor, body: bytes, path: str = PATH) -> Any:
    """Send a picture by the form."""
    form = {"form_token": visitor.token(f"{path}/try")}
    files = {"in-0": ("me.png", body, "image/png")}
    return visitor.client.post(f"{path}/try", data=form, files=files, headers=OURS)


def entries(studio: Studio, event: str) -> list[dict[str, Any]]:
    return [each for each in studio.environment.session.ledger.entries() if each["event"] == event]


def test_a_member_shows_a_picture_and_reads_the_answer(model_studio: Studio) -> None:
    visitor = model_studio.lab.signed_in("member")
    page = visitor.get(f"{PATH}/try").text
    assert 'type="file"' in page and f"fleetform try studio {RUN}" in page
    answer = show(visitor, picture())
    assert answer.status_code == 200, answer.text
    assert answer.text.count(" %</td>") == 10, "a share for each of the ten digits"
    last = entries(model_studio, "model.try")[-1]
    assert (last["target"], last["actor"]["asked_by"]["subject"]) == (RUN, visitor.login)


def test_what_is_no_picture_is_said_above_the_form(model_studio: Studio) -> None:
    visitor = model_studio.lab.signed_in("member")
    for body in (b"<html>", b"", b"\x89PNG\r\n\x1a\n"):
        answer = show(visitor, body)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text and 'type="file"' in answer.text
    assert show(visitor, b"0" * (16 * 2**20 + 1)).status_code == 413


def test_the_card_and_the_zip_are_whole_and_who_took_it_is_on_record(
    model_studio: Studio, tmp_path: Path
) -> None:
    visitor = model_studio.lab.signed_in("member")
    page = visitor.get(f"{PATH}/card").text
    assert "model/model.safetensors" in page and f"fleetform model studio {RUN}" in page
    answer = visitor.get(f"{PATH}/model.zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="{RUN}-model.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.testzip() is None
        assert f"{RUN}/SHA256SUMS" in opened.namelist()
    last = entries(model_studio, "model.take")[-1]
    assert last["actor"]["asked_by"]["subject"] == visitor.login
    assert last["details"]["model_sha256"] in page


@pytest.mark.parametrize("page", ["try", "card", "model.zip"])
def test_who_may_not_is_refused_and_another_team_finds_nothing(page: str, model_studio: Studio) -> None:
    path = f"{PATH}/{page}"
    assert model_studio.lab.signed_in("viewer").get(path).status_code == 403
    assert model_studio.lab.signed_in("member", team="others").get(path).status_code == 404
    assert model_studio.lab.visitor().get(path).status_code == 303
    member = model_studio.lab.signed_in("member")
    assert member.get(f"/environments/vault/runs/{RUN}/{page}").status_code == 404
    assert member.get(f"/environments/studio/runs/20260102-999999-nooo/{page}").status_code == 404
    without = member.get(f"/environments/studio/runs/{PLAIN}/{page}")
    assert without.status_code == 409 and "left no model" in without.text


def test_names_of_columns_are_text_and_nothing_else(model_studio: Studio) -> None:
    page = model_studio.lab.signed_in("member").get(f"/environments/studio/runs/{ODD}/try").text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page and "<img" not in page


@pytest.mark.browser
@pytest.mark.parametrize("language", ["en", "ko"])
def test_in_a_browser_with_and_without_scripts(
    language: str, model_studio: Studio, chromium: Browser, tmp_path: Path
) -> None:
    (tmp_path / "seven.png").write_bytes(picture())
    login = model_studio.lab.signed_in("member").login
    for scripts in (True, False):
        with window(chromium, model_studio.lab, language=language, scripts=scripts, width=420) as browser:
            browser.enter(login)
            page = browser.open(f"{PATH}/try")
            page.locator("#in-0").set_input_files(tmp_path / "seven.png")
            page.locator("main form button.main").click()
            page.wait_for_selector("#answer")
            if scripts:
                assert_accessible(page)
            page = browser.open(f"{PATH}/card")
            if scripts:
                assert_accessible(page)
            with page.expect_download() as download:
                page.locator("a.button").click()
            assert zipfile.is_zipfile(download.value.path())
