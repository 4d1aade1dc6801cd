"""The clients of file systems: those of the bucket first, and a clear word where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node import file_clients
from node.file_clients import PACKAGES, ClientMissingError, ensure_client, has_client
from tests.test_node_mounts import Store

APT = """\
#!/bin/sh
# Installs a package by putting the helper there that a file of its name stands for.
for word; do
  case "$word" in
    /*.deb) cat "$word" >>"{log}"; cp "{log}" "{bin}/mount.efs"; chmod 755 "{bin}/mount.efs" ;;
    amazon-efs-utils) echo "E: Unable to locate package amazon-efs-utils" >&2; exit 100 ;;
  esac
done
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The programs of a machine without clients, whose apt-get knows no package source."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("cat", "cp", "chmod"):
        (programs / name).symlink_to(shutil.which(name) or name)
    apt = programs / "apt-get"
    apt.write_text(APT.format(log=tmp_path / "log", bin=programs))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(file_clients, "_SYSTEM_PROGRAMS", ())
    return programs


def bucket(**packages: bytes) -> Store:
    """Return the artifact bucket with these packages."""
    store = Store()
    store.objects |= {f"{PACKAGES}{name.replace('_', '.')}": body for name, body in packages.items()}
    return store


def test_a_client_that_is_missing_is_installed_from_the_bucket(machine: Path, tmp_path: Path) -> None:
    assert not has_client("efs")
    ensure_client(bucket(utils_deb=b"utils;", stunnel_deb=b"stunnel;", other_rpm=b"rpm;"), "efs")  # type: ignore[arg-type]
    assert has_client("efs")
    assert (tmp_path / "log").read_bytes() == b"stunnel;utils;", "all packages of this machine's kind at once"


def test_a_client_that_is_there_is_left_alone(machine: Path) -> None:
    (machine / "mount.efs").symlink_to(machine / "cat")
    (machine / "apt-get").unlink()
    ensure_client(bucket(), "efs")  # type: ignore[arg-type]


def test_a_client_that_nobody_has_is_named_with_what_to_do(machine: Path) -> None:
    with pytest.raises(ClientMissingError) as caught:
        ensure_client(bucket(), "efs")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "the image has no efs client, and the package amazon-efs-utils did not bring it: E: Unable to locate "
        "package amazon-efs-utils; put it and what it needs (.deb files) under s3://artifacts/node/packages/"
    )


def test_packages_that_bring_no_client_are_not_taken_for_one(machine: Path) -> None:
    with pytest.raises(
        ClientMissingError, match=r"no lustre client, and the packages of s3://artifacts/node"
    ):
        ensure_client(bucket(utils_deb=b"utils;"), "lustre")  # type: ignore[arg-type]


def test_a_machine_without_a_package_manager_says_so(machine: Path) -> None:
    (machine / "apt-get").unlink()
    with pytest.raises(ClientMissingError, match="neither apt-get nor dnf"):
        ensure_client(bucket(), "efs")  # type: ignore[arg-type]
