"""Forged requests: another site's page can send nothing that counts, and no other host name is answered."""

from __future__ import annotations

import pytest

from tests.console.lab import OURS, ConsoleLab

pytestmark = pytest.mark.console


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_what_another_site_sends_is_refused_even_with_the_token(lab: ConsoleLab, site: str) -> None:
    visitor = lab.signed_in("viewer")
    form = {"form_token": visitor.token("/")}
    answer = visitor.client.post("/logout", data=form, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert visitor.get("/").status_code == 200, "it is still signed in"


def test_a_browser_that_does_not_say_the_site_is_told_by_its_origin(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    form = {"form_token": visitor.token("/")}
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert visitor.client.post("/logout", data=form, headers=origin).status_code == 403
    assert visitor.client.post("/logout", data=form, headers={"Origin": lab.url}).status_code == 303


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_without_its_token_is_refused(lab: ConsoleLab, token: str) -> None:
    visitor = lab.signed_in("viewer")
    answer = visitor.client.post("/logout", data={"form_token": token}, headers=OURS)
    assert answer.status_code == 403
    assert "The form is out of date" in answer.text
    assert visitor.get("/").status_code == 200


def test_a_form_counts_for_the_session_alone_that_it_was_made_for(lab: ConsoleLab) -> None:
    mine, other = lab.signed_in("viewer"), lab.signed_in("viewer")
    form = {"form_token": other.token("/")}
    assert mine.client.post("/logout", data=form, headers=OURS).status_code == 403


def test_the_token_counts_as_a_header_too(lab: ConsoleLab) -> None:
    visitor = lab.signed_in("viewer")
    headers = {**OURS, "X-Form-Token": visitor.token("/")}
    assert visitor.client.post("/logout", headers=headers).status_code == 303


def test_a_sign_in_cannot_be_forged_either(lab: ConsoleLab) -> None:
    person = lab.person()
    form = {"login": person.subject, "password": "a horse that nobody rides"}
    assert lab.visitor().client.post("/login", data=form, headers=OURS).status_code == 403


def test_another_host_name_is_not_answered(lab: ConsoleLab) -> None:
    assert lab.visitor().get("/login", Host="evil.example").status_code == 421


def test_a_form_over_the_limit_is_refused_before_it_is_read(lab: ConsoleLab) -> None:
    answer = lab.visitor().post("/login", {"login": "a", "password": "b" * 100_000})
    assert answer.status_code == 413
