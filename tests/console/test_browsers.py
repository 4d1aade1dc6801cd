"""Browsers are called by the names that people know them by."""

from __future__ import annotations

import pytest

from console.words import browsers

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"{WINDOWS} Safari/537.36", "Chrome 140, Windows"),
        (f"{WINDOWS} Safari/537.36 Edg/140.0.0.0", "Edge 140, Windows"),
        (f"{WINDOWS} Whale/4.33.325.17 Safari/537.36", "Whale 4, Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "Firefox 143, Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.6 Mobile/15E148 Safari/604.1",
            "Safari 18, iPhone",
        ),
        ("python-httpx/0.28.1", "python-httpx/0.28.1"),
        ("", ""),
    ],
)
def test_a_browser_has_its_own_name_and_not_that_of_those_it_imitates(agent: str, name: str) -> None:
    assert browsers.name(agent) == name
