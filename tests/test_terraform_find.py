"""Finding terraform and its provider on machines that are laid out differently."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet import terraform_find
from fleet.terraform_find import (
    child_environment,
    find_plugin_dir,
    find_terraform,
    has_provider,
    implied_folders,
    platform_name,
    satisfies,
)
from stacks.problems import UserError


def add_provider(mirror: Path, version: str, *, packed: bool = False) -> Path:
    """Put an AWS provider into a mirror, as `terraform providers mirror` lays it out."""
    folder = mirror / "registry.terraform.io/hashicorp/aws"
    if packed:
        file = folder / f"terraform-provider-aws_{version}_{platform_name()}.zip"
    else:
        file = folder / version / platform_name() / f"terraform-provider-aws_v{version}_x5"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    return mirror


def add_program(folder: Path, name: str) -> Path:
    """Put a program into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch(mode=0o755)
    return folder / name


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the environment of a user on a machine where nothing is installed."""
    monkeypatch.setattr(terraform_find, "SEARCHED", ())
    return {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin"), "XDG_DATA_DIRS": str(tmp_path / "share")}


@pytest.mark.parametrize(
    ("version", "constraint", "fits"),
    [
        ("5.100.0", "5.100.0", True),
        ("5.100.0", "= 5.100.0", True),
        ("5.100.1", "5.100.0", False),
        ("5.100.0", "~> 5.100", True),
        ("5.101.0", "~> 5.100", True),
        ("6.0.0", "~> 5.100", False),
        ("5.99.0", "~> 5.100", False),
        ("5.100.7", "~> 5.100.2", True),
        ("5.101.0", "~> 5.100.2", False),
        ("5.100.0", ">= 5.0, < 6.0", True),
        ("6.0.0", ">= 5.0, < 6.0", False),
        ("5.3.0", "!= 5.3.0", False),
        ("1.2.3", "", True),
    ],
)
def test_a_version_fits_a_constraint_as_terraform_reads_it(version: str, constraint: str, fits: bool) -> None:
    assert satisfies(version, constraint) is fits


def test_terraform_goes_before_tofu_and_a_named_program_before_both(tmp_path: Path) -> None:
    tofu = add_program(tmp_path / "bin", "tofu")
    assert find_terraform({"PATH": str(tmp_path / "bin")}) == tofu
    terraform = add_program(tmp_path / "bin", "terraform")
    assert find_terraform({"PATH": str(tmp_path / "bin")}) == terraform
    own = add_program(tmp_path / "own", "terraform")
    assert find_terraform({"PATH": str(tmp_path / "bin"), "FLEETFORM_TERRAFORM": str(own)}) == own


def test_without_terraform_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"neither terraform nor tofu is on PATH\n +install terraform"):
        find_terraform({"PATH": str(tmp_path)})
    with pytest.raises(UserError, match="FLEETFORM_TERRAFORM names 'gone'"):
        find_terraform({"PATH": str(tmp_path), "FLEETFORM_TERRAFORM": "gone"})


def test_the_variable_goes_first_and_must_hold_the_provider(tmp_path: Path, home: dict[str, str]) -> None:
    mirror = add_provider(tmp_path / "mirror", "5.100.0")
    variables = {**home, "FLEETFORM_PLUGIN_DIR": str(mirror)}
    assert find_plugin_dir(tmp_path / "cache.json", "5.100.0", variables) == mirror
    with pytest.raises(UserError, match=r"no AWS provider 5\.101\.0"):
        find_plugin_dir(tmp_path / "cache.json", "5.101.0", variables)


def test_a_plugin_cache_serves_where_it_has_the_version(tmp_path: Path, home: dict[str, str]) -> None:
    mirror = add_provider(tmp_path / "cache", "5.100.0")
    variables = {**home, "TF_PLUGIN_CACHE_DIR": str(mirror)}
    assert find_plugin_dir(tmp_path / "cache.json", "5.100.0", variables) == mirror
    assert find_plugin_dir(tmp_path / "cache.json", "5.101.0", variables) is None


def test_what_terraform_finds_by_itself_is_left_to_it(tmp_path: Path, home: dict[str, str]) -> None:
    add_provider(implied_folders(home)[0], "5.100.0", packed=True)
    assert find_plugin_dir(tmp_path / "cache.json", "5.100.0", home) is None


def test_the_users_own_installation_settings_are_respected(
    tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "opt"
    add_provider(root / "vendor/plugins", "5.100.0")
    monkeypatch.setattr(terraform_find, "SEARCHED", (root,))
    assert find_plugin_dir(tmp_path / "cache.json", "5.100.0", home) == root / "vendor/plugins"
    (tmp_path / ".terraformrc").write_text("provider_installation {}")
    assert find_plugin_dir(tmp_path / "cache.json", "5.100.0", home) is None


def test_a_found_mirror_is_remembered_as_long_as_it_is_there(
    tmp_path: Path, home: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "opt", tmp_path / "cache.json"
    mirror = add_provider(root / "plugins", "5.100.0")
    monkeypatch.setattr(terraform_find, "SEARCHED", (root,))
    assert find_plugin_dir(cache, "5.100.0", home) == mirror
    monkeypatch.setattr(terraform_find, "SEARCHED", ())
    assert find_plugin_dir(cache, "5.100.0", home) == mirror
    (mirror / "registry.terraform.io").rename(mirror / "moved")
    assert find_plugin_dir(cache, "5.100.0", home) is None


def test_a_provider_for_another_machine_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "registry.terraform.io/hashicorp/aws/5.100.0/plan9_mips"
    folder.mkdir(parents=True)
    (folder / "terraform-provider-aws_v5.100.0_x5").touch()
    assert not has_provider(tmp_path, "5.100.0")


def test_a_missing_cli_configuration_is_not_passed_on(tmp_path: Path) -> None:
    assert "TF_CLI_CONFIG_FILE" not in child_environment({"TF_CLI_CONFIG_FILE": str(tmp_path / "none")})
    file = tmp_path / "rc"
    file.touch()
    assert child_environment({"TF_CLI_CONFIG_FILE": str(file)})["TF_CLI_CONFIG_FILE"] == str(file)
