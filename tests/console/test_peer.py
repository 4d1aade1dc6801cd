"""Where a request comes from: a trusted proxy's word counts, and nobody else's."""

from __future__ import annotations

import dataclasses
import ipaddress
from pathlib import Path

import pytest
from sqlalchemy import select

from console.settings_file import network_of
from console.store.people_tables import AttemptRow, SessionRow
from console.web.peer import sender_of
from tests.console.lab import OURS, ConsoleLab, Visitor, serving, settings_of

pytestmark = pytest.mark.console
TRUSTED = tuple(map(network_of, ("10.0.0.0/24", "192.0.2.7", "2001:db8:1::/48")))
PROXY, ANN, EVE = "10.0.0.9", "203.0.113.5", "198.51.100.66"


@pytest.mark.parametrize(
    ("host", "named", "sender"),
    [
        (PROXY, [ANN], ANN),
        (PROXY, [f"{ANN}:51234"], ANN),
        (PROXY, ["2001:db8::5"], "2001:db8::5"),
        (PROXY, ["[2001:db8::5]:443"], "2001:db8::5"),
        (PROXY, [f"::ffff:{ANN}"], ANN),
        (f"::ffff:{PROXY}", [ANN], ANN),
        ("2001:db8:1::1", [ANN], ANN),
        # Two proxies, in one header or in two.
        (PROXY, [f"{ANN}, 192.0.2.7"], ANN),
        (PROXY, [ANN, "192.0.2.7"], ANN),
        # What somebody sends along themselves stands before what the proxy adds.
        (PROXY, [f"{ANN}, {EVE}"], EVE),
        (PROXY, [ANN, EVE], EVE),
        (PROXY, [f"10.0.0.1, {EVE}"], EVE),
        # Nobody has told the proxy anything, or nothing that is an address.
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, ["unknown"], PROXY),
        (PROXY, ["<script>alert(1)</script>"], PROXY),
        (PROXY, [f"{ANN}, unknown"], PROXY),
        (PROXY, [f"{ANN}, " + "9" * 5000], PROXY),
        # Who is no proxy of ours says what they like.
        (EVE, [ANN], EVE),
        (EVE, ["10.0.0.1"], EVE),
        ("testclient", [ANN], "testclient"),
    ],
)
def test_a_request_comes_from_whom_the_last_trusted_proxy_names(
    host: str, named: list[str], sender: str
) -> None:
    assert sender_of(host, named, TRUSTED) == sender


def test_a_header_without_end_is_not_walked() -> None:
    assert sender_of(PROXY, [",".join(["10.0.0.1"] * 100_000)], TRUSTED) == "10.0.0.1"


def fail(visitor: Visitor, forwarded: str) -> int:
    """Try to sign in, and fail, from that address as a proxy would say it; return the answer's status."""
    form = {"login": "nobody", "password": "a wrong one", "next_page": "/", "form_token": visitor.token()}
    answer = visitor.client.post("/login", data=form, headers={**OURS, "X-Forwarded-For": forwarded})
    return answer.status_code


def addresses(lab: ConsoleLab) -> set[str]:
    """Return the addresses from which attempts have failed."""
    with lab.services.database.reading() as database:
        return set(database.scalars(select(AttemptRow.address)))


def test_without_a_trusted_proxy_nobody_gets_round_the_throttle_by_a_header(own_lab: ConsoleLab) -> None:
    visitor = own_lab.visitor()
    statuses = [fail(visitor, f"203.0.113.{number}") for number in range(9)]
    assert statuses == [401] * 8 + [429]
    assert addresses(own_lab) == {"127.0.0.1"}


def test_behind_a_trusted_proxy_each_person_has_their_own_address(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    settings = settings_of(tmp_path, tmp_path / ".fleetform", "aws")
    trusting = dataclasses.replace(settings, proxies=(ipaddress.ip_network("127.0.0.1/32"),))
    with serving(trusting) as lab:
        visitor = lab.visitor()
        assert [fail(visitor, EVE) for _ in range(9)] == [401] * 8 + [429]
        assert fail(visitor, ANN) == 401, "who is elsewhere is not locked out"
        assert addresses(lab) == {EVE, ANN}
        person = lab.person(login="ann")
        visitor.client.headers["X-Forwarded-For"] = ANN
        assert visitor.sign_in("ann").status_code == 303
        with lab.services.database.reading() as database:
            found = database.scalars(select(SessionRow.address).filter_by(person_id=person.id)).all()
        assert found == [ANN]
