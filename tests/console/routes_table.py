"""Every route of the console and what it takes: `anybody`, `a person`, or a verb of the policy.

Whoever adds a route adds its row; `test_routes.py` fails without.
"""

from __future__ import annotations

ANYBODY, PERSON = "anybody", "a person"

ROUTES: dict[tuple[str, str], str] = {
    ("GET", "/"): PERSON,
    ("GET", "/acts/{act_id}"): "environment.see",
    ("GET", "/acts/{act_id}/events"): "environment.see",
    ("POST", "/acts/{act_id}/repeat"): "environment.see",
    ("POST", "/acts/{act_id}/stop"): "environment.see",
    ("GET", "/environments/{name}/compare"): "run.see",
    ("GET", "/environments/{name}/down"): "environment.down",
    ("POST", "/environments/{name}/down"): "environment.down",
    ("GET", "/environments/{name}/runs"): "run.see",
    ("GET", "/environments/{name}/runs/{run_id}"): "run.see",
    ("GET", "/environments/{name}/runs/{run_id}/card"): "model.take",
    ("GET", "/environments/{name}/runs/{run_id}/events"): "run.see",
    ("POST", "/environments/{name}/runs/{run_id}/resume"): "run.resume",
    ("POST", "/environments/{name}/runs/{run_id}/stop"): "run.stop",
    ("GET", "/environments/{name}/runs/{run_id}/model.zip"): "model.take",
    ("GET", "/environments/{name}/runs/{run_id}/try"): "model.try",
    ("POST", "/environments/{name}/runs/{run_id}/try"): "model.try",
    ("GET", "/health"): ANYBODY,
    ("GET", "/join"): ANYBODY,
    ("POST", "/join"): ANYBODY,
    ("GET", "/login"): ANYBODY,
    ("POST", "/login"): ANYBODY,
    ("GET", "/login/oidc"): ANYBODY,
    ("GET", "/login/oidc/back"): ANYBODY,
    ("POST", "/logout"): ANYBODY,
    ("GET", "/me"): PERSON,
    ("POST", "/me/end-others"): PERSON,
    ("POST", "/me/password"): PERSON,
    ("GET", "/people"): "people.manage",
    ("POST", "/people/invite"): "people.manage",
    ("POST", "/people/{person_id}/grant"): "people.manage",
    ("POST", "/people/{person_id}/take"): "people.manage",
    ("POST", "/people/{person_id}/disable"): "people.manage",
    ("POST", "/people/{person_id}/enable"): "people.manage",
    ("POST", "/preferences"): ANYBODY,
    ("GET", "/prove"): PERSON,
    ("POST", "/prove"): PERSON,
    ("GET", "/receipts/{name}"): "environment.see",
    ("GET", "/receipts/{name}/receipt.json"): "environment.see",
    ("GET", "/static/{digest}/{name:path}"): ANYBODY,
    ("GET", "/welcome"): ANYBODY,
    ("POST", "/welcome"): ANYBODY,
}
