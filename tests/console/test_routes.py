"""Every route: named in the table, closed to guests where it says so, deaf to forms without their token."""

from __future__ import annotations

import re

import pytest
from fastapi.routing import APIRoute

from console.pages.routes import ROUTERS
from tests.console.lab import OURS, ConsoleLab
from tests.console.routes_table import ANYBODY, ROUTES

pytestmark = pytest.mark.console


def test_the_table_names_every_route_and_no_other() -> None:
    found = {
        (method, route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    assert found == set(ROUTES)


def path_of(template: str) -> str:
    """Return a path that the route takes, of things that there are not."""
    return re.sub(r"\{[^}]+\}", "nothing", template)


@pytest.mark.parametrize(
    ("method", "template"), [route for route, takes in ROUTES.items() if takes != ANYBODY]
)
def test_a_guest_is_led_to_the_sign_in(lab: ConsoleLab, method: str, template: str) -> None:
    visitor = lab.visitor()
    headers = {**OURS, "X-Form-Token": visitor.token()}
    answer = visitor.client.request(method, path_of(template), headers=headers)
    assert answer.status_code == 303 and answer.headers["location"].startswith("/login")


@pytest.mark.parametrize(
    ("method", "template"), [route for route in ROUTES if route[0] not in ("GET", "HEAD")]
)
def test_nothing_changes_without_the_form_token(lab: ConsoleLab, method: str, template: str) -> None:
    visitor = lab.signed_in("operator", team="*")
    assert visitor.client.request(method, path_of(template), headers=OURS).status_code == 403


@pytest.mark.parametrize("template", sorted({template for _, template in ROUTES}))
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE"])
def test_a_method_that_a_route_does_not_take_is_no_error_of_ours(
    lab: ConsoleLab, method: str, template: str
) -> None:
    visitor = lab.visitor()
    headers = {**OURS, "X-Form-Token": visitor.token()}
    if (method, template) not in ROUTES:
        answer = visitor.client.request(method, path_of(template), headers=headers)
        assert answer.status_code in (404, 405)
