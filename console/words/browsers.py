"""What a browser is called, by what it says of itself in `User-Agent`."""

from __future__ import annotations

import re

_BROWSERS = (
    ("Edge", r"Edg(?:A|iOS)?/(\d+)"),
    ("Opera", r"OPR/(\d+)"),
    ("Samsung Internet", r"SamsungBrowser/(\d+)"),
    ("Whale", r"Whale/(\d+)"),
    ("Firefox", r"(?:Firefox|FxiOS)/(\d+)"),
    ("Chrome", r"(?:Chrome|CriOS)/(\d+)"),
    ("Safari", r"Version/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/"),
)
"""Those that call themselves others too come first: nearly all say `Chrome` or `Safari`."""
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("macOS", "Mac OS X|Macintosh"),
    ("ChromeOS", "CrOS"),
    ("Linux", "Linux"),
)
_LONGEST = 40


def name(agent: str) -> str:
    """Return name, major version and system ("Firefox 140, Windows"); of others how they begin."""
    browser = next(
        (f"{title} {found[1]}" for title, form in _BROWSERS if (found := re.search(form, agent))), ""
    )
    system = next((title for title, form in _SYSTEMS if re.search(form, agent)), "")
    return ", ".join(filter(None, (browser, system))) or agent[:_LONGEST]
