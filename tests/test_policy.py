"""Who may what: the table of docs, role by role, and that what it does not say is refused."""

from __future__ import annotations

import pytest

from fleet.policy import EVERY_TEAM, ROLES, VERBS, Grant, Role, Verb, decide, teams_of

ALLOWED: dict[Verb, str] = {
    "environment.see": "viewer member operator approver auditor admin",
    "run.see": "viewer member operator approver auditor admin",
    "run.submit": "member operator",
    "run.stop": "operator",
    "run.resume": "operator",
    "data.upload": "member operator",
    "model.try": "member operator",
    "model.take": "member operator",
    "server.enter": "member operator",
    "environment.up": "operator",
    "environment.down": "operator",
    "account.look": "operator auditor admin",
    "account.sweep": "operator",
    "launch.approve": "approver",
    "lease.extend": "approver",
    "record.read": "auditor",
    "record.verify": "auditor",
    "record.export": "auditor",
    "people.manage": "admin",
    "budget.set": "admin",
}


def test_the_table_names_every_act() -> None:
    assert set(ALLOWED) == set(VERBS)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_the_table_says_and_nothing_else(role: Role) -> None:
    may = {verb for verb in VERBS if decide([Grant(role, "blue")], verb, "blue").allowed}
    assert may == {verb for verb, roles in ALLOWED.items() if role in roles.split()}


def test_nobody_without_a_role_may_anything() -> None:
    assert not any(decide([], verb, "blue", own=True).allowed for verb in VERBS)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_in_one_team_is_none_in_another_nor_in_what_is_everybodys(role: Role) -> None:
    for verb in VERBS:
        assert not decide([Grant(role, "blue")], verb, "red", own=True).allowed
        assert not decide([Grant(role, "blue")], verb, EVERY_TEAM, own=True).allowed


def test_a_role_in_every_team_is_one_in_each() -> None:
    assert decide([Grant("operator", EVERY_TEAM)], "environment.down", "red").allowed


def test_a_member_ends_their_own_runs_and_no_others() -> None:
    member = [Grant("member", "blue")]
    assert decide(member, "run.stop", "blue", own=True).allowed
    assert not decide(member, "run.stop", "blue").allowed
    assert not decide([Grant("viewer", "blue")], "run.stop", "blue", own=True).allowed


def test_an_auditor_changes_nothing_and_who_builds_does_not_put_off_the_end() -> None:
    changing = {
        "run.submit",
        "run.stop",
        "environment.up",
        "environment.down",
        "lease.extend",
        "people.manage",
    }
    assert not any(
        decide([Grant("auditor", EVERY_TEAM)], verb, "blue", own=True).allowed
        for verb in VERBS
        if verb in changing
    )
    assert not decide([Grant("operator", EVERY_TEAM)], "lease.extend", "blue").allowed


def test_a_refusal_names_the_roles_that_it_takes() -> None:
    refused = decide([Grant("viewer", "blue")], "environment.up", "blue")
    assert (refused.allowed, refused.roles) == (False, ("operator",))


def test_the_teams_in_which_something_is_allowed() -> None:
    grants = [Grant("member", "blue"), Grant("viewer", "red"), Grant("auditor", EVERY_TEAM)]
    assert teams_of(grants, "run.submit") == {"blue"}
    assert teams_of(grants, "run.see") == {"blue", "red", EVERY_TEAM}
