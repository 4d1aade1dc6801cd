"""Whatever is sent to whichever route: an answer that is no error of ours, and a console that goes on."""

from __future__ import annotations

import logging
import random
import socket
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

from console.people.accounts import Person
from fleet.policy import ROLES, Grant
from tests.console.conftest import Studio
from tests.console.lab import OURS, ConsoleLab, Visitor
from tests.console.samples import Samples, absent, form_names, make_samples, query_names, routes

pytestmark = [pytest.mark.console, pytest.mark.sandbox]

SEED = 20261123
TRIES = 6
"""So many odd requests a route."""
ODD = (
    "", "nothing", "..", "../../etc/passwd", "/", "//evil.example", "\x00", "a\r\nX: 1", "é", "\ud7ff", "﷽",
    "😀",
    "x" * 300, "x" * 5000, "-1", "0", "99999999999999999999999", "1e9", "NaN", "'\";--", "{{7*7}}", "${7*7}",
    "%s%n", "\x1b[31m", "\u202e", "studio\n", "*", "true", "[]", "{}", "2026-13-45T99:99:99", "e1.m1.l0-1",
)  # fmt: skip
ODD_IN_PATHS = (
    *(quote(each, safe="") for each in ODD if each and each not in ("..", "/")),
    "%ff%fe", "%ed%a0%80", "%c0%ae%c0%ae", "%2e%2e%2f%2e%2e", "%00", "a%00b",
    "%0d%0aSet-Cookie:%20a=b", "a" * 2000,
)  # fmt: skip
CHARSETS = (
    "undefined",
    "unicode_escape",
    "raw_unicode_escape",
    "utf-7",
    "utf-16",
    "idna",
    "punycode",
    "hex",
    "x",
)
"""Codecs that Python has and no browser sends, and one that it has not."""
BEGINS = (
    "/start", "/repeat", "/up", "/verify", "/export", "/stop", "/resume", "/done", "/discard",
    "/delete", "/check",
)  # fmt: skip
"""Ends of paths that begin or end something: asked for nothing that there is."""
FORMS_OF = ("{run_id}", "/launch/", "/uploads/")
"""In paths of forms in which whatever is sent to what there is begins nothing."""
ENDS_THE_SESSION = ("/logout", "/prove", "/me/end-others", "/me/password")


@pytest.fixture(scope="module")
def person(studio: Studio) -> Person:
    """Somebody who may do everything everywhere: refusals are no end of the way."""
    return studio.lab.person(*(Grant(role, "*") for role in ROLES))


@pytest.fixture(scope="module")
def samples(studio: Studio, person: Person) -> Samples:
    return make_samples(studio.lab.services, "studio", "tests", studio.run_id, owner=person.id)


@pytest.fixture(scope="module")
def everybody(studio: Studio, person: Person) -> Visitor:
    visitor = studio.lab.visitor()
    assert visitor.sign_in(person.subject).status_code == 303
    return visitor


def ask(visitor: Visitor, method: str, path: str, token: str, **more: object) -> None:
    """Send it, and assert that the answer is no error of ours; of a stream the beginning is enough."""
    headers = {**OURS, "X-Form-Token": token, **more.pop("headers", {})}  # type: ignore[dict-item]
    with visitor.client.stream(method, path, headers=headers, **more) as answer:  # type: ignore[arg-type]
        assert answer.status_code < 500, f"{method} {path[:300]} {more!r:.600}"
        assert "content-security-policy" in answer.headers
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            assert "Traceback" not in answer.read().decode("utf-8", "replace")


def odd_path(rng: random.Random, route: APIRoute, method: str, samples: Samples) -> str:
    """Return a path of the route: of odd things, or of those that there are where nothing comes of it."""
    sent_to = any(each in route.path for each in FORMS_OF) and not route.path.endswith(BEGINS)
    if (method == "GET" or sent_to) and rng.random() < 0.6:
        return samples.path(route.path)
    path = absent(route.path)
    while "absent" in path:
        path = path.replace("absent", rng.choice(ODD_IN_PATHS), 1)
    return path


def odd_query(rng: random.Random, route: APIRoute) -> str:
    names = [*query_names(route), "from", "nothing"]
    pairs = [(rng.choice(names), rng.choice(ODD)) for _ in range(rng.randint(0, 4))]
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    return f"?{text}" if text else rng.choice(("", "?", "?&&=&", "?%ff=%fe"))


def odd_body(rng: random.Random, route: APIRoute) -> dict[str, object]:
    """Return a body as odd as its kind allows: fields, parts, JSON, or bytes."""
    fields = {name: rng.choice(ODD) for name in form_names(route) if rng.random() < 0.8}
    kind = rng.randrange(6)
    if kind == 0:
        return {"files": dict.fromkeys([*fields, "in-0"], ('a"b\r\n.png', b"\x89PNG", "image/png"))}
    if kind == 1:
        json = rng.choice(("{", "null", "[]", '{"a": "\\ud800"}', "[" * 20_000, '{"a": 1e999}', '{"a": NaN}'))
        return {"content": json, "headers": {"Content-Type": "application/json"}}
    if kind == 2:
        form = "multipart/form-data"
        wrong = rng.choice(
            (form, f"{form}; boundary=", f"{form}; boundary=x", f"{form}; boundary={'x' * 300}")
        )
        return {
            "content": b"--x\r\nContent-Disposition: form-data\r\n\r\n\xff",
            "headers": {"Content-Type": wrong},
        }
    if kind == 3:
        pairs = "&".join(f"{name}=%ff%00%ed%a0%80" for name in fields)
        return {"content": pairs, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    return {"data": fields}


def odd_headers(rng: random.Random) -> dict[str, str]:
    all_of_them = {
        "Accept-Language": rng.choice(("ko;q=x, en;q=-1", "*" * 400, "ko;q=1e999", ";;;", "x-%E9")),
        "Last-Event-ID": rng.choice(("nonsense", "e1", "e9.m9.l0-9", "x" * 5000)),
        "Range": "bytes=5-1,-0",
        "If-None-Match": '"x"',
        "Referer": rng.choice(("javascript:alert(1)", "//evil.example", "http://[::1", "x" * 3000)),
        "X-Forwarded-For": "' OR 1=1 --",
        "HX-Request": "true",
    }  # fmt: skip
    return dict(rng.sample(sorted(all_of_them.items()), rng.randint(0, 3)))


@pytest.mark.parametrize(
    ("method", "route"),
    [pytest.param(method, route, id=f"{method} {route.path}") for method, route in routes()],
)
def test_no_route_can_be_made_to_break(
    studio: Studio, samples: Samples, everybody: Visitor, caplog: pytest.LogCaptureFixture,
    method: str, route: APIRoute,
) -> None:  # fmt: skip
    rng = random.Random(f"{SEED} {method} {route.path}")
    begins = route.path.endswith(BEGINS) and "{" not in route.path
    token = "" if begins or route.path in ENDS_THE_SESSION else everybody.token("/me")
    with caplog.at_level(logging.WARNING):
        for _ in range(TRIES):
            path = odd_path(rng, route, method, samples) + odd_query(rng, route)
            body = odd_body(rng, route) if method != "GET" else {}
            headers = {**odd_headers(rng), **body.pop("headers", {})}  # type: ignore[dict-item]
            ask(everybody, method, path, token, headers=headers, **body)
    assert "unexpected" not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("charset", CHARSETS)
def test_no_codec_turns_a_form_into_what_can_not_be_written(lab: ConsoleLab, charset: str) -> None:
    visitor = lab.visitor()
    token = visitor.token()
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n\\ud800+2AA-\xff\r\n' % name
        for name in (b"login", b"password", b"form_token")
    )
    kinds = (
        f"multipart/form-data; boundary=x; charset={charset}",
        f"application/x-www-form-urlencoded; charset={charset}",
    )
    for kind, body in zip(kinds, (parts + b"--x--\r\n", b"login=%5Cud800%2B2AA-&password=%ff"), strict=True):
        ask(visitor, "POST", "/login", token, content=body, headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "cookie",
    ["fleetform-session", "fleetform-form", "fleetform-language", "fleetform-zone", "fleetform-theme"],
)
@pytest.mark.parametrize("value", ["", "x" * 4000, "../../etc/localtime", "a/b", '"', "%00", "UTC\xff"])
def test_no_cookie_breaks_a_page(lab: ConsoleLab, cookie: str, value: str) -> None:
    visitor = lab.visitor()
    ask(visitor, "GET", "/login", "", headers={"Cookie": f"{cookie}={value}".encode("latin-1")})


POST = b"POST /login HTTP/1.1\r\nHost: HOST\r\nSec-Fetch-Site: same-origin\r\n"
RAW = (
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET /a b HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nA: b\nC: d\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: HOST\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    POST + b"Content-Length: -1\r\n\r\n",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n",
    b"GARBAGE\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01",
    b"\x00" * 70_000,
)


@pytest.mark.parametrize("number", range(len(RAW)))
def test_what_is_no_request_is_refused_and_the_next_one_is_answered(lab: ConsoleLab, number: int) -> None:
    settings = lab.services.settings
    with socket.create_connection((settings.host, settings.port), timeout=10) as connection:
        connection.sendall(RAW[number].replace(b"HOST", settings.public_host.encode()))
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    assert not answer or b" 500 " not in answer.split(b"\r\n", 1)[0], answer[:200]
    assert lab.visitor().get("/health").status_code == 204
