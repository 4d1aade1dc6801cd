"""What every answer says to the browser, and that no page needs more than that allows."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.console.lab import OURS, ConsoleLab

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates" / "console").glob("*.html.j2"))

pytestmark = pytest.mark.console


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/static/0/app.css", "/health"])
def test_every_answer_forbids_what_is_inline_from_elsewhere_or_framed(lab: ConsoleLab, path: str) -> None:
    headers = lab.visitor().get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_refusals_of_the_outermost_layers_have_the_headers_too(lab: ConsoleLab) -> None:
    visitor = lab.visitor()
    forged = visitor.client.post("/logout", headers={"Sec-Fetch-Site": "cross-site"})
    large = visitor.client.post("/login", content=b"x" * 100_000, headers=OURS)
    assert (forged.status_code, large.status_code) == (403, 413)
    assert all("content-security-policy" in answer.headers for answer in (forged, large))


def test_a_bug_of_ours_is_a_page_that_says_no_more_than_where_to_look(
    lab: ConsoleLab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lab.services.estate, "all", lambda: 1 / 0)
    answer = lab.signed_in("viewer").get("/")
    assert answer.status_code == 500 and "content-security-policy" in answer.headers
    number = re.search(r"under ([0-9a-f]{8})\.", answer.text)
    assert number and number[1] in caplog.text and "ZeroDivisionError" in caplog.text
    assert "ZeroDivision" not in answer.text and "Traceback" not in answer.text


def test_files_are_kept_for_ever_under_their_digest_and_under_no_other(lab: ConsoleLab) -> None:
    page = lab.visitor().get("/login").text
    urls = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(urls) >= 4
    for url in urls:
        answer = lab.visitor().get(url)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert lab.visitor().get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", url)).status_code == 404


@pytest.mark.parametrize(
    "name", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "vendor/../../app.py", "app.css%00"]
)
def test_nothing_but_the_files_is_served(lab: ConsoleLab, name: str) -> None:
    assert lab.visitor().get(f"/static/0123456789abcdef/{name}").status_code == 404


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_what_the_policy_forbids(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|hx-on|javascript:|\|\s*safe|https?://", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)


def test_vendored_files_are_those_of_the_packages_that_they_say() -> None:
    folder = ROOT / "console" / "static" / "vendor"
    told = json.loads((folder / "vendored.json").read_text(encoding="utf-8"))
    for each in told:
        assert hashlib.sha256((folder / each["file"]).read_bytes()).hexdigest() == each["sha256"], each[
            "file"
        ]
    served = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css")}
    assert served == {each["file"] for each in told}
    assert {path.name for path in folder.glob("*.LICENSE.txt")} == {
        f"{path.removesuffix('.min.js')}.LICENSE.txt" for path in served if path.endswith(".js")
    }
