"""`fleetform console` as a user types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from console.settings import choose_settings
from fleet.project import Project
from stacks.problems import UserError
from tests.console.lab import settings_of

pytestmark = pytest.mark.console
ROOT = Path(__file__).parents[2]


def test_it_says_where_it_is_gives_one_token_and_stops_by_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "environments").mkdir()
    port = settings_of(tmp_path, tmp_path / ".fleetform").port
    command = [sys.executable, "-m", "scripts.cli", "console", "--cloud", "aws", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(3)]
        url = re.search(r"http://\S+\d", said[0])
        assert url and str(port) in url[0] and re.search(r"([A-Z0-9]{5}-){5}[A-Z0-9]{5}", said[2])
        deadline = time.monotonic() + 60
        while not answers(f"{url[0]}/health"):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        assert "Traceback" not in process.stderr.read()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 204)
    except urllib.error.URLError:
        return False


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "0.0.0.0"}, "no address of this machine alone"),
        ({"public_url": "http://console.example.com"}, "passwords would go over it in the clear"),
        ({"public_url": "https://console.example.com/path"}, "is no URL of a host alone"),
        ({"public_url": "ftp://console.example.com"}, "is no URL of a host alone"),
    ],
)
def test_passwords_never_go_over_a_network_in_the_clear(
    tmp_path: Path, given: dict[str, str], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        choose_settings(Project(root=tmp_path, home=tmp_path), **given)  # type: ignore[arg-type]


def test_behind_a_proxy_with_tls_cookies_are_of_this_host_alone(tmp_path: Path) -> None:
    settings = choose_settings(
        Project(root=tmp_path, home=tmp_path), host="0.0.0.0", public_url="https://console.example.com/"
    )
    assert settings.secure and settings.public_host == "console.example.com"
