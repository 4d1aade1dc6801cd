"""What tests in a real browser share: a page that tells of its troubles, and the accessibility check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.console.lab import PASSWORD, ConsoleLab

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""WCAG 2.2 AA, in which the machine-checkable items of KWCAG 2.2 are contained, and axe's good practice."""


@dataclass
class Window:
    """One page in a browser, with what went wrong on it."""

    page: Page
    lab: ConsoleLab
    troubles: list[str] = field(default_factory=list)
    """Errors of scripts and of the content security policy, and requests that left this host."""

    @property
    def url(self) -> str:
        """Where the console is."""
        return self.lab.url

    def open(self, path: str) -> Page:
        """Open a page of the console."""
        self.page.goto(f"{self.url}{path}")
        return self.page

    def sign_in(self, login: str) -> Page:
        """Sign in as a person does: by typing."""
        self.open("/login")
        self.page.locator("#login").fill(login)
        self.page.locator("#password").fill(PASSWORD)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(f"{self.url}/")
        return self.page

    def enter(self, login: str) -> None:
        """Be signed in from now on, without the pages on which a person types that."""
        visitor = self.lab.visitor()
        answer = visitor.sign_in(login)
        assert answer.status_code == 303, answer.text
        held = visitor.client.cookies.items()
        self.page.context.add_cookies(
            [{"name": name, "value": value, "url": self.url} for name, value in held]
        )


@contextmanager
def window(
    chromium: Browser,
    lab: ConsoleLab,
    *,
    language: str = "en",
    scripts: bool = True,
    width: int = 1280,
    dark: bool = False,
) -> Iterator[Window]:
    """Open a browser window of its own; at its end nothing may have gone wrong on its pages."""
    context = chromium.new_context(
        locale={"en": "en-GB", "ko": "ko-KR"}[language],
        timezone_id={"en": "Europe/London", "ko": "Asia/Seoul"}[language],
        java_script_enabled=scripts,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if dark else "light",
    )
    try:
        page = context.new_page()
        found = Window(page, lab)
        page.on("pageerror", lambda error: found.troubles.append(str(error)))
        page.on("console", lambda said: found.troubles.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: _note_foreign(found, asked.url))
        yield found
        assert found.troubles == []
    finally:
        context.close()


def _note_foreign(window: Window, url: str) -> None:
    if not url.startswith((f"{window.url}/", "data:")):
        window.troubles.append(f"asked another host: {url}")


def assert_accessible(page: Page) -> None:
    """Assert that axe-core finds nothing on the page as it is now."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    options = json.dumps({"runOnly": RULES})
    found: list[dict[str, Any]] = page.evaluate(f"axe.run(document, {options}).then(said => said.violations)")
    told = [
        f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes']]}" for each in found
    ]
    assert not told, "\n".join(told)
