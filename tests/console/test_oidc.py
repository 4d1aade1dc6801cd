"""In by the company's identity provider: whom it vouches for, and nobody whom it does not."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import select, update

from console.people.oidc import OidcSettings
from console.people.sessions import Limits
from console.store.columns import utc_now
from console.store.people_tables import IdentityRow, MembershipRow, PersonRow, SessionRow
from console.store.waiting import all_waiting
from tests.console.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, provider
from tests.console.lab import ConsoleLab, Visitor, serving, settings_of

pytestmark = pytest.mark.console


@dataclasses.dataclass
class Company:
    """A console with an identity provider."""

    lab: ConsoleLab
    provider: IdentityProvider

    def come(self, visitor: Visitor | None = None, next_page: str = "/") -> tuple[Visitor, httpx2.Response]:
        """Go to the provider and come back from it, as a browser does; return the console's last answer."""
        visitor = visitor or self.lab.visitor()
        sent = visitor.client.get("/login/oidc", params={"next": next_page})
        assert sent.status_code == 303, sent.text
        back = httpx2.get(sent.headers["location"])
        return visitor, self.back(visitor, back.headers["location"])

    def back(self, visitor: Visitor, url: str) -> httpx2.Response:
        """Open the address that the provider sends a browser to."""
        parts = urlsplit(url)
        return visitor.client.get(f"{parts.path}?{parts.query}")


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    (tmp_path / "environments").mkdir()
    with provider() as said:
        oidc = OidcSettings(issuer=said.url, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
        settings = dataclasses.replace(settings_of(tmp_path, tmp_path / ".fleetform", "aws"), oidc=oidc)
        with serving(settings) as lab:
            yield Company(lab, said)


def test_whom_the_provider_vouches_for_is_in_with_no_role_yet(company: Company) -> None:
    visitor, answer = company.come(next_page="/me")
    assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    page = visitor.get("/").text
    assert "Ann Lee" in page and "You are in no team yet" in page
    asked = company.provider.asked[0]
    assert asked["code_challenge_method"] == "S256" and asked["response_type"] == "code"
    assert "openid" in asked["scope"].split() and len(asked["nonce"]) >= 32 <= len(asked["state"])
    assert "not:so/secret+" not in str(company.provider.asked)


def test_a_person_is_known_by_issuer_and_subject_and_not_by_a_name(company: Company) -> None:
    company.come()
    company.provider.name = "Ann Kim"
    company.come()
    company.provider.subject, company.provider.name = "u-2", "Ann Kim"
    company.come()
    with company.lab.services.database.reading() as database:
        people = database.execute(select(IdentityRow.subject, PersonRow.name).join(PersonRow)).all()
    assert sorted(tuple(each) for each in people) == [("u-1", "Ann Kim"), ("u-2", "Ann Kim")]


LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "another console"},
    "several audiences, none authorized": {"aud": [CLIENT_ID, "another"], "azp": "another"},
    "over": {"exp": int(time.time()) - 3600},
    "not yet": {"nbf": int(time.time()) + 3600},
    "another nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is no text": {"sub": 7},
    "another access token": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_for_us_proves_nobody(company: Company, lie: str) -> None:
    company.provider.lies = LIES[lie]
    visitor, answer = company.come()
    assert answer.status_code == 502 and visitor.get("/").status_code == 303


def test_a_token_that_another_key_or_everybodys_key_has_signed_proves_nobody(company: Company) -> None:
    company.provider.signing = RSAKey.generate_key(2048, {"kid": "1"})
    assert company.come()[1].status_code == 502
    for company.provider.algorithm in ("HS256", "none", "RS1"):
        assert company.come()[1].status_code == 502


def test_keys_that_the_provider_has_changed_are_asked_for_again(company: Company) -> None:
    assert company.come()[1].status_code == 303
    company.provider.key = RSAKey.generate_key(2048, {"kid": "1"})
    assert company.come()[1].status_code == 303


def test_a_sign_in_counts_once_and_for_the_browser_that_began_it(company: Company) -> None:
    victim, attacker = company.lab.visitor(), company.lab.visitor()
    sent = attacker.client.get("/login/oidc")
    url = httpx2.get(sent.headers["location"]).headers["location"]
    assert company.back(victim, url).status_code == 409, "a forged sign-in"
    assert company.back(attacker, url).status_code == 409, "it is used up"
    sent = attacker.client.get("/login/oidc")
    url = httpx2.get(sent.headers["location"]).headers["location"]
    assert company.back(attacker, url).status_code == 303
    assert company.back(attacker, url).status_code == 409
    assert company.back(attacker, "/login/oidc/back?state=none&code=c").status_code == 409
    assert company.back(attacker, "/login/oidc/back").status_code == 409


def test_an_answer_in_another_issuers_name_is_refused(company: Company) -> None:
    visitor = company.lab.visitor()
    sent = visitor.client.get("/login/oidc")
    url = httpx2.get(sent.headers["location"]).headers["location"]
    assert company.back(visitor, url.partition("&iss=")[0] + "&iss=https://evil.example").status_code == 409


def test_no_sign_in_leads_to_another_host(company: Company) -> None:
    assert company.come(next_page="//evil.example")[1].headers["location"] == "/"


def test_who_is_kept_out_is_kept_out_whatever_the_provider_says(company: Company) -> None:
    visitor, _ = company.come()
    with company.lab.services.database.writing() as database:
        database.execute(update(PersonRow).values(disabled_at=utc_now()))
    assert visitor.get("/").status_code == 303
    assert company.come()[1].status_code == 409


def test_a_proof_is_asked_for_at_the_provider_and_only_a_fresh_one_of_the_same_person_counts(
    company: Company,
) -> None:
    visitor, _ = company.come()
    database = company.lab.services.database
    with database.writing() as writing:
        person = writing.scalars(select(PersonRow)).one()
        writing.add(MembershipRow(person_id=person.id, team="*", role="admin"))
        writing.execute(update(SessionRow).values(proved_at=utc_now() - Limits().fresh * 2))
    form = {"role": "member", "team": "blue"}
    assert visitor.post("/people/invite", form, page="/people").headers["location"].startswith("/prove")
    assert "/login/oidc?next=/people" in visitor.get("/prove?next=/people").text
    company.provider.lies = {"auth_time": int(time.time()) - 3600}
    assert company.come(visitor)[1].status_code == 409
    company.provider.lies, company.provider.subject = {}, "u-2"
    assert company.come(visitor)[1].status_code == 409
    company.provider.subject = "u-1"
    assert company.come(visitor)[1].status_code == 303
    assert company.provider.asked[-1]["max_age"] == "0" and company.provider.asked[-1]["prompt"] == "login"
    assert visitor.post("/people/invite", form, page="/people").status_code == 200


def test_every_way_of_it_is_on_record(company: Company) -> None:
    company.come()
    company.provider.lies = {"nonce": "another"}
    company.come()
    with company.lab.services.database.reading() as database:
        found = [(each.event, each.outcome, each.asked_by.get("issuer")) for each in all_waiting(database)]
    assert found == [
        ("console.login", "succeeded", company.provider.url),
        ("console.login", "refused", None),
    ]


def test_a_provider_that_does_not_answer_is_no_error_of_ours(company: Company) -> None:
    assert company.lab.services.provider is not None
    gone = OidcSettings(issuer="http://127.0.0.1:1", client_id=CLIENT_ID, client_secret="")
    company.lab.services.provider.settings = gone
    answer = company.lab.visitor().get("/login/oidc")
    assert answer.status_code == 502 and "does not answer as it should" in answer.text


def test_without_a_provider_there_is_no_such_way(lab: ConsoleLab) -> None:
    assert lab.visitor().get("/login/oidc").status_code == 404
    assert lab.visitor().get("/login/oidc/back?code=a&state=b").status_code == 404
    assert "company account" not in lab.visitor().get("/login").text


def test_an_identity_of_a_provider_has_no_password_to_guess(company: Company) -> None:
    company.come()
    assert company.lab.visitor().sign_in("u-1", "anything at all").status_code == 401
