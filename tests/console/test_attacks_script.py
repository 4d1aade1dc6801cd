"""Script, stored and reflected: through every field and parameter, shown as text, in a real browser.

What an attack would make is marked, so that it is found in the page even where the content security policy
would have kept it from running.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page

from console.acts.spec import Up
from console.acts.watch import Place
from fleet.clock import utc_now
from fleet.policy import ROLES, Grant
from fleet.run_store import RunStore
from fleet.terraform_events import ProgressEvent
from tests.console.acting import going_on
from tests.console.browser import Window, window
from tests.console.conftest import Studio
from tests.console.lab import OURS, ConsoleLab
from tests.console.samples import Samples, form_names, make_samples, query_names, routes, write_receipt
from tests.run_directories import ENDED, NODE, make, put

pytestmark = [pytest.mark.console, pytest.mark.browser, pytest.mark.sandbox]

ATTACK = "\"'><img src=x data-attack onerror=alert(1)><script data-attack>alert(1)</script>{{7*7}}"
LINK = "javascript:alert(1)//"
NOW = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}"
RUN, LIVE = f"{NOW}-evils", f"{NOW}-lives"
NOT_PAGES = ("/events", ".zip", ".json", "/oidc", "/back", "/files", "/pictures/{number}")
ANSWERS = ("Failed to load resource", "Response Status Error Code 4")
"""What a browser, and htmx, tell of answers that refuse."""
TEXTS = "input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea"


@pytest.fixture(scope="module")
def samples(studio: Studio) -> Samples:
    """Things that are named as an attacker would, wherever somebody other than us names them."""
    store = studio.environment.store
    make_run(store, RUN, *ENDED[:3], "FAILED")
    make_run(store, LIVE, *ENDED[:3], submitted=utc_now())
    samples = make_samples(studio.lab.services, "studio", "tests", RUN)
    thing = {"kind": ATTACK, "id": ATTACK, "name": ATTACK, "usd_per_hour": None, "note": ATTACK}
    write_receipt(
        studio.lab.services.settings.project.root, "studio", actor=ATTACK, anyway=ATTACK, overridden=[ATTACK],
        kept=[thing], left=[thing], not_looked=[{"title": ATTACK, "why": ATTACK}], prices=ATTACK,
    )  # fmt: skip
    return samples


def make_run(store: RunStore, run_id: str, *events: str, **more: object) -> None:
    """Write a run whose every text is an attack, and which has left a model of the kind."""
    named = {"recipe": ATTACK, "instance_type": ATTACK, "dataset": {"name": ATTACK}, "overrides": [ATTACK]}
    make(
        store,
        run_id,
        *events,
        environment="studio",
        actor=f"arn:aws:sts::1:assumed-role/a/{ATTACK}",
        **named,
        **more,
    )
    details = {"PROVISIONING": {"nodes": [NODE]}, "FAILED": {"cause": ATTACK}, "QUEUED": {"reason": ATTACK}}
    lines = [{"time": utc_now(), "event": each, "detail": details.get(each, {})} for each in events]
    put(store, run_id, "events.jsonl", "".join(json.dumps(each) + "\n" for each in lines).encode())
    step = {"step": 1, "time": utc_now(), "loss": 0.5, ATTACK: 1.5}
    put(store, run_id, "metrics.jsonl", json.dumps(step).encode() + b"\n")
    put(store, run_id, "logs/node-0.log", f"{ATTACK}\n</pre>{ATTACK}\n".encode())
    column = {"name": ATTACK, "kind": "category", "values": [ATTACK]}
    store.put(run_id, "model/config.json", {"model": {"kind": "mlp"}, "about": {"columns": [column]}})
    store.put(run_id, "receipt.json", {"seconds": {"total": 1.0}, "speedup": {}, ATTACK: ATTACK})


@pytest.fixture(scope="module")
def seen(studio: Studio, samples: Samples, chromium: Browser) -> Iterator[Window]:
    """The browser of somebody who may do everything, and whose own name is an attack."""
    person = studio.lab.person(*(Grant(role, "*") for role in ROLES), name=ATTACK)
    elsewhere = studio.lab.visitor()
    elsewhere.client.headers["User-Agent"] = ATTACK
    assert elsewhere.sign_in(person.subject).status_code == 303
    with window(chromium, studio.lab) as found:
        found.page.on("dialog", lambda dialog: found.troubles.append(f"a dialog: {dialog.message}"))
        found.sign_in(person.subject)
        yield found
        # A page that refuses is an answer, too; the browser tells of it as an error.
        found.troubles[:] = [each for each in found.troubles if not any(part in each for part in ANSWERS)]


def look(seen: Window, path: str) -> Page:
    """Open a page and assert that no attack has become a part of it."""
    page = seen.open(path)
    assert_text(page, path)
    return page


def assert_text(page: Page, where: str) -> None:
    found = page.locator("[data-attack], [href^='javascript:' i], [onerror], [onmouseover]").count()
    assert found == 0, f"{where}: {page.content()[:5000]}"


def pages() -> list[APIRoute]:
    """Return the routes that answer with a page."""
    return [
        route
        for method, route in routes()
        if method == "GET" and not route.path.endswith(NOT_PAGES)
        and not route.path.startswith(("/static", "/health"))
    ]  # fmt: skip


@pytest.mark.parametrize("route", pages(), ids=lambda route: route.path)
def test_what_others_have_named_and_what_an_address_says_is_text(
    seen: Window, samples: Samples, route: APIRoute
) -> None:
    path = samples.path(route.path)
    look(seen, path)
    for value in (ATTACK, LINK):
        names = query_names(route)
        if names:
            look(seen, f"{path}?{urlencode(dict.fromkeys(names, value))}")
    look(seen, f"{path}%22%3E%3Cimg%20src=x%20data-attack%3E")


def test_the_attacks_are_really_on_the_pages(seen: Window, samples: Samples) -> None:
    """Else the test above could not fail."""
    for path in (
        f"/environments/studio/runs/{RUN}", f"/environments/studio/runs/{RUN}/try", "/me", "/people", "/",
        samples.path("/receipts/{name}"), "/environments/studio/runs",
    ):  # fmt: skip
        assert "<img src=x data-attack" in look(seen, path).locator("body").inner_text(), path


def test_what_comes_live_is_text(studio: Studio, seen: Window, samples: Samples) -> None:
    page = look(seen, f"/environments/studio/runs/{LIVE}")
    step = {"step": 2, "time": utc_now(), "loss": 0.4, f"new {ATTACK}": 1.0}
    before = studio.environment.store.get(LIVE, "metrics.jsonl") or b""
    put(studio.environment.store, LIVE, "metrics.jsonl", before + json.dumps(step).encode() + b"\n")
    make_run(studio.environment.store, LIVE, *ENDED[:3], "FAILED", submitted=utc_now())
    page.locator("#state .badge.bad").wait_for()
    assert_text(page, "live")
    assert "<img src=x data-attack" in page.locator("#events").inner_text()
    ann = studio.lab.person()
    place = Place(studio.lab.services.settings, studio.lab.services.database)
    with going_on(place, ann, Up(environment="studio")) as act_id:
        page = look(seen, f"/acts/{act_id}")
        place.folder(act_id).tell(ProgressEvent(kind="done", stack=ATTACK, text=ATTACK, done=1, total=2))
        page.locator("progress").wait_for()
        assert_text(page, "an act")
        assert "<img src=x data-attack" in page.locator(".told").inner_text()


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize(
    "route", [route for route in pages() if route.path not in ("/welcome",)], ids=lambda route: route.path
)
def test_what_is_typed_into_a_form_comes_back_as_text(
    seen: Window, samples: Samples, route: APIRoute, number: int
) -> None:
    """Each of a page's first forms is filled in, sent as it then is, and the answer looked at."""
    path = samples.path(route.path)
    page = look(seen, path)
    form = page.locator("main form", has=page.locator(TEXTS)).nth(number)
    if form.count() == 0 or page.url.partition("?")[0] != f"{seen.url}{path}":
        return
    page.evaluate(
        "for (const each of document.querySelectorAll('[maxlength]')) each.removeAttribute('maxlength')"
    )
    for field in form.locator(TEXTS).all():
        if field.get_attribute("type") in ("text", "search", "password", "email", None):
            field.fill(ATTACK)
    with page.expect_navigation():
        form.evaluate("each => { each.noValidate = true; each.querySelector('button').click(); }")
    assert_text(page, f"{path}, sent")


@pytest.mark.parametrize("path", ["/login", "/join"])
def test_what_a_guest_types_comes_back_as_text(studio: Studio, chromium: Browser, path: str) -> None:
    with window(chromium, studio.lab) as guest:
        page = guest.open(f"{path}?{urlencode({'next': ATTACK, 'token': ATTACK})}")
        for field in page.locator(f"main :is({TEXTS})").all():
            field.fill(ATTACK)
        page.locator("main button.main").click()
        page.locator("[role=alert], .fault").first.wait_for()
        assert_text(page, path)
        assert page.locator("#login").input_value() == ATTACK
        guest.troubles[:] = [each for each in guest.troubles if "Failed to load resource" not in each]


def test_every_field_of_every_form_comes_back_as_text(studio: Studio, samples: Samples) -> None:
    """Without a browser, the fields that no page shows to this person, too."""
    person = studio.lab.person(*(Grant(role, "others") for role in ROLES), name=ATTACK)
    visitor = studio.lab.visitor()
    visitor.sign_in(person.subject)
    token = visitor.token("/me")
    for method, route in routes():
        if method == "POST" and route.path not in ("/logout", "/login", "/welcome", "/join"):
            fields = dict.fromkeys(form_names(route), ATTACK)
            path, headers = samples.path(route.path), {**OURS, "X-Form-Token": token}
            answer = visitor.client.post(path, data=fields, headers=headers)
            assert "<img src=x" not in answer.text, route.path
            assert "\n" not in answer.headers.get("location", "")


def test_a_language_is_a_language_and_a_theme_one_of_ours(lab: ConsoleLab) -> None:
    visitor = lab.visitor()
    visitor.post("/preferences", {"language": ATTACK, "theme": ATTACK, "next_page": LINK})
    page = visitor.get("/login").text
    assert "data-attack" not in page and "javascript:" not in page
