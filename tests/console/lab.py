"""A console to test against: the app under real uvicorn, people with roles, their browsers."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from console.people import accounts
from console.people.accounts import Person
from console.serve import make_server
from console.services import Services, open_services
from console.settings import Settings, choose_settings
from fleet.declare import declare
from fleet.policy import Grant, Role
from fleet.project import Project

PASSWORD = "a horse that nobody rides"
OURS = {"Sec-Fetch-Site": "same-origin"}
"""What a browser says of a form of the console's own pages."""
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@dataclass
class Visitor:
    """Somebody's browser without a screen: cookies, pages, forms."""

    client: httpx2.Client
    login: str = ""

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Open a page."""
        return self.client.get(path, headers=headers)

    def token(self, path: str = "/login") -> str:
        """Return the form token of a page, following where it leads."""
        found = _TOKEN.search(self.client.get(path, follow_redirects=True).text)
        assert found, f"{path} has no form"
        return found[1]

    def post(self, path: str, form: Mapping[str, str], *, page: str = "/login") -> httpx2.Response:
        """Send a form as it stands on a page."""
        return self.client.post(path, data={"form_token": self.token(page), **form}, headers=OURS)

    def sign_in(self, login: str, password: str = PASSWORD, next_page: str = "/") -> httpx2.Response:
        """Sign in by the form."""
        form = {"login": login, "password": password, "next_page": next_page}
        return self.post("/login", form)


@dataclass
class ConsoleLab:
    """A console that is being served."""

    services: Services
    visitors: list[Visitor] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return self.services.settings.public_url

    def visitor(self, language: str = "en") -> Visitor:
        """Return a new browser, in which nobody is signed in."""
        headers = {"Accept-Language": language}
        visitor = Visitor(httpx2.Client(base_url=self.url, headers=headers, timeout=30))
        self.visitors.append(visitor)
        return visitor

    def person(self, *grants: Grant, login: str = "", name: str = "") -> Person:
        """Make a person with these roles."""
        login = login or f"p{secrets.token_hex(4)}"
        with self.services.database.writing() as database:
            return accounts.create_account(
                database, name=name or f"Person {login}", login=login, password=PASSWORD, grants=grants
            )

    def signed_in(self, role: Role | None = None, team: str = "tests", language: str = "en") -> Visitor:
        """Return the browser of a new person with that role, signed in."""
        person = self.person(*([Grant(role, team)] if role else []))
        visitor = self.visitor(language)
        visitor.login = person.subject
        answer = visitor.sign_in(person.subject)
        assert answer.status_code == 303, answer.text
        return visitor


def settings_of(root: Path, home: Path, cloud: str = "sandbox") -> Settings:
    """Return settings of a console on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return choose_settings(Project(root=root, home=home), cloud=cloud, port=port)


@contextmanager
def serving(settings: Settings) -> Iterator[ConsoleLab]:
    """Serve a console in a thread of this process."""
    lab = ConsoleLab(open_services(settings))
    server = make_server(lab.services)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive() and time.monotonic() < deadline, "the console does not start"
        time.sleep(0.02)
    try:
        yield lab
    finally:
        for visitor in lab.visitors:
            visitor.client.close()
        server.should_exit = True
        thread.join(30)


def declare_environment(root: Path, name: str, team: str, organization: str = "run-tests") -> None:
    """Write an environment's file; the account is the one that `tests/run_environment.py` builds in."""
    declare(
        root, name, team=team, owner=f"{team}@example.com", region="us-east-1",
        instance_type="g5.xlarge", nodes=1, organization=organization,
    )  # fmt: skip
