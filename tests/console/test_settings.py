"""`console.toml`: what it may say, what is wrong with it, and what comes before it."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest

from console.settings import DATABASE_VARIABLE, OIDC_SECRET_VARIABLE, Settings, choose_settings
from console.settings_file import ConsoleFile
from console.uploads.limits import UploadLimits
from fleet.project import Project
from stacks.fields import documented
from stacks.problems import UserError

pytestmark = pytest.mark.console
DOCS = Path(__file__).parents[2] / "docs" / "console.md"
WHOLE = """\
public_url = "https://console.example.com"
host = "10.0.0.5"
port = 8000
proxies = ["10.0.0.0/24", "2001:db8::1"]
database = "postgresql://console@db.example.com/console"

[sessions]
idle_minutes = 10
max_hours = 8
proof_minutes = 2

[oidc]
issuer = "https://login.example.com"
client_id = "fleetform"
client_secret_file = "secrets/oidc"

[uploads]
max_gib = 0.5
max_files = 100
max_megapixels = 12
person_gib = 4
unfinished_days = 1

[acts]
keep_days = 30
"""


def choose(folder: Path, text: str = "", variables: dict[str, str] | None = None, **options: str) -> Settings:
    """Return the settings of a project with that file, as somebody with these variables starts it."""
    if text:
        (folder / "console.toml").write_text(text, encoding="utf-8")
    project = Project(root=folder, home=folder / ".fleetform")
    return choose_settings(project, variables=variables or {}, **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str = "", variables: dict[str, str] | None = None, **options: str) -> str:
    """Return what is wrong, all of it."""
    with pytest.raises(UserError) as caught:
        choose(folder, text, variables, **options)
    return str(caught.value)


def test_all_of_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "oidc").write_text("from the provider\n", encoding="utf-8")
    found = choose(tmp_path, WHOLE)
    assert (found.public_url, found.host, found.port) == ("https://console.example.com", "10.0.0.5", 8000)
    assert found.proxies == (ipaddress.ip_network("10.0.0.0/24"), ipaddress.ip_network("2001:db8::1"))
    assert found.database_url == "postgresql://console@db.example.com/console"
    limits = found.limits
    assert [each.total_seconds() / 60 for each in (limits.idle, limits.longest, limits.fresh)] == [10, 480, 2]
    assert found.oidc is not None and found.oidc.client_secret == "from the provider"
    assert found.uploads == UploadLimits(
        upload_bytes=2**29, files=100, picture_pixels=12_000_000, person_bytes=4 * 2**30,
        unfinished=datetime.timedelta(days=1),
    )  # fmt: skip
    assert found.keep_acts == datetime.timedelta(days=30)
    assert found.warnings == ()


def test_without_a_file_it_is_this_machines_alone_with_the_limits_of_the_code(tmp_path: Path) -> None:
    found = choose(tmp_path)
    assert (found.public_url, found.secure, found.oidc) == ("http://127.0.0.1:8765", False, None)
    assert found.database_url == f"sqlite:///{tmp_path}/console-data/console.sqlite3"
    plain = Settings(project=found.project, cloud=None, host="", port=0, public_url="", database_url="")
    assert (found.limits, found.uploads, found.keep_acts) == (plain.limits, plain.uploads, plain.keep_acts)


def test_every_mistake_of_the_file_is_told_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        'prot = 1\nproxies = ["10.0.0.0/33", "0.0.0.0/0"]\n'
        'database = "postgresql://console:secret@db/console"\n'
        '[session]\nidle_minutes = 1\n[sessions]\nmax_hours = 0\n[oidc]\nclient_secret = "x"\n',
    )
    assert "console.toml: prot: there is no setting 'prot'\n    did you mean `port`?" in told
    assert "proxies: '10.0.0.0/33' is no address and no network" in told
    assert "database: there is a password in it" in told and "secret@" not in told
    assert "there is no setting 'session'\n    did you mean `sessions`?" in told
    assert "sessions.max_hours: 0 is too small\n    take at least 1 hours" in told
    assert "oidc.client_secret: there is no setting" in told and "`client_secret_file`" in told


def test_nobody_can_be_trusted_with_everybodys_address(tmp_path: Path) -> None:
    for everybody in ("0.0.0.0/0", "::/0"):
        assert "everybody" in problems(tmp_path, f'proxies = ["{everybody}"]\n')


def test_what_does_not_fit_together_is_told_at_once_where_it_stands(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        'public_url = "http://console.example.com"\n'
        '[oidc]\nissuer = "http://login.example.com"\nclient_secret_file = "none"\n',
    )
    assert "console.toml: public_url: http://console.example.com is no address of this machine" in told
    assert "console.toml: oidc.issuer: 'http://login.example.com' and '' name no identity provider" in told
    assert "console.toml: oidc.client_secret_file: none can't be read: No such file" in told


@pytest.mark.parametrize("body", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_told(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "secret").write_bytes(body)
    text = '[oidc]\nissuer = "https://login.example.com"\nclient_id = "a"\nclient_secret_file = "secret"\n'
    assert "oidc.client_secret_file: secret" in problems(tmp_path, text)


def test_an_option_comes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    text = (
        'host = "127.0.0.2"\ndatabase = "sqlite:////in/file"\n[oidc]\nissuer = "https://a"\nclient_id = "a"\n'
    )
    variables = {DATABASE_VARIABLE: "postgresql://console:secret@db/console", OIDC_SECRET_VARIABLE: "s"}
    found = choose(tmp_path, text, variables, host="127.0.0.3", oidc_issuer="https://b")
    assert (found.host, found.public_url) == ("127.0.0.3", "http://127.0.0.3:8765")
    assert found.database_url == variables[DATABASE_VARIABLE]
    assert found.oidc is not None
    assert (found.oidc.issuer, found.oidc.client_id, found.oidc.client_secret) == ("https://b", "a", "s")
    assert choose(tmp_path, database_url="sqlite:////other").database_url == "sqlite:////other"
    assert choose(tmp_path).database_url == "sqlite:////in/file"


def test_a_password_is_never_an_option(tmp_path: Path) -> None:
    told = problems(tmp_path, database_url="postgresql://console:secret@db/console")
    assert told.startswith("--database: there is a password in it") and "secret@" not in told


def test_what_is_ignored_or_hardly_wanted_warns(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file\n", encoding="utf-8")
    text = (
        'public_url = "https://console.example.com"\n[oidc]\nissuer = "https://a"\nclient_id = "a"\n'
        'client_secret_file = "secret"\n'
    )
    found = choose(tmp_path, text, {OIDC_SECRET_VARIABLE: "of the environment"})
    assert found.oidc is not None and found.oidc.client_secret == "of the environment"
    assert len(found.warnings) == 2
    assert any("no proxy is named" in each for each in found.warnings)
    assert any("and not oidc.client_secret_file" in each for each in found.warnings)
    assert not any("of the environment" in each for each in found.warnings)


def test_the_page_documents_every_setting_with_its_unit() -> None:
    page = DOCS.read_text(encoding="utf-8")
    for doc in documented(ConsoleFile):
        if not doc.table:
            row = next(line for line in page.splitlines() if line.startswith(f"| `{doc.path}` |"))
            assert doc.unit in row, row
