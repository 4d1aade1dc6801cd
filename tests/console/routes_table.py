"""Every route of the console and what it takes: `anybody`, `a person`, or a verb of the policy.

Whoever adds a route adds its row; `test_routes.py` fails without.
"""

from __future__ import annotations

ANYBODY, PERSON = "anybody", "a person"

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/"): PERSON,
    ("GET", "/health"): ANYBODY,
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("POST", "/logout"): ANYBODY,
    ("POST", "/preferences"): ANYBODY,
    ("GET", "/static/{digest}/{name:path}"): ANYBODY,
    ("GET", "/welcome"): ANYBODY,
    ("POST", "/welcome"): ANYBODY,
}
