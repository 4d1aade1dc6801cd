"""Where terraform and its AWS provider are on this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from stacks.problems import UserError

_SKIPPED = {
    "node_modules",
    "proc",
    "sys",
    "dev",
    "site-packages",
    "__pycache__",
    "include",
    "man",
    "doc",
    "icons",
}
_SEARCH_DEPTH = 4
"""Folders below a root in which a mirror (a folder named after a registry) is looked for."""
_SEARCH_SECONDS = 2.0
"""Bound on the search; what was not found by then is downloaded."""
SEARCHED = tuple(Path(root) for root in ("/opt", "/usr/local", "/usr/lib", "/usr/share", "/var/lib", "/srv"))
"""Where machine images and containers put what they bring along; the user's home is searched too."""
_REGISTRIES = ("registry.terraform.io", "registry.opentofu.org")


def find_terraform(environment: Mapping[str, str] | None = None) -> Path:
    """Return the program to use: FLEETFORM_TERRAFORM, else `terraform` or `tofu` on PATH.

    Raises UserError where there is none.
    """
    variables = os.environ if environment is None else environment
    path = variables.get("PATH")
    wanted = variables.get("FLEETFORM_TERRAFORM")
    if wanted:
        if found := shutil.which(wanted, path=path):
            return Path(found)
        raise UserError.of(
            f"FLEETFORM_TERRAFORM names {wanted!r}, which is not a program that can be run",
            "set it to the path of terraform or tofu, or unset it",
        )
    for name in ("terraform", "tofu"):
        if found := shutil.which(name, path=path):
            return Path(found)
    raise UserError.of(
        "neither terraform nor tofu is on PATH",
        "install terraform 1.11 or later (https://developer.hashicorp.com/terraform/install) or OpenTofu "
        "1.10 or later, or name it with FLEETFORM_TERRAFORM",
    )


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a terraform process, from the cloud's own (`Cloud.process_environment`)."""
    child = {**variables, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
    if not Path(child.get("TF_CLI_CONFIG_FILE", "/")).is_file():
        child.pop("TF_CLI_CONFIG_FILE", None)  # a missing file is a warning in every command's output
    return child


def find_plugin_dir(cache: Path, constraint: str, environment: Mapping[str, str]) -> Path | None:
    """Return the folder for `terraform init -plugin-dir`, or None where init finds the provider by itself.

    Looked for in FLEETFORM_PLUGIN_DIR, TF_PLUGIN_CACHE_DIR, then (unless the user's own settings or
    Terraform's implied folders have it) in the usual places of this machine; the find is kept in the file
    `cache`. `constraint` is the version that the configuration asks for.
    """
    for name in ("FLEETFORM_PLUGIN_DIR", "TF_PLUGIN_CACHE_DIR"):
        folder = environment.get(name)
        if folder and has_provider(Path(folder), constraint):
            return Path(folder)
        if folder and name == "FLEETFORM_PLUGIN_DIR":
            raise UserError.of(
                f"FLEETFORM_PLUGIN_DIR is {folder}: no AWS provider {constraint} for {platform_name()}",
                "point it to a folder as `terraform providers mirror` writes it, or unset it",
            )
    if "-plugin-dir" in environment.get("TF_CLI_ARGS_init", "") or _user_installs(environment):
        return None
    if any(has_provider(folder, constraint) for folder in implied_folders(environment)):
        return None
    return _cached_search(cache, constraint, environment)


def plain_variables(cache: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what plain `terraform` and `cdktf` need to find the provider as we do; empty if they do anyway.

    cdktf sets a plugin cache folder of its own, which may be the very folder that the provider is taken from;
    init fails then, so cdktf is told not to.
    """
    folder = find_plugin_dir(cache, "", environment)
    if folder is None:
        return {}
    return {"TF_CLI_ARGS_init": f"-plugin-dir={folder}", "CDKTF_DISABLE_PLUGIN_CACHE_ENV": "1"}


def platform_name() -> str:
    """Return this machine as a provider's folder names it: `linux_amd64`."""
    machine = os.uname().machine
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{sys.platform}_{architecture}"


def implied_folders(environment: Mapping[str, str]) -> list[Path]:
    """Return the folders in which terraform looks by itself before it downloads.

    https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories
    """
    home = Path(environment.get("HOME", "/"))
    data = [environment.get("XDG_DATA_HOME") or str(home / ".local/share")]
    data += (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":")
    return [home / ".terraform.d/plugins", *(Path(folder) / "terraform/plugins" for folder in data)]


def has_provider(mirror: Path, constraint: str) -> bool:
    """Return whether the mirror holds the AWS provider, in a version that fits, for this machine."""
    return any(satisfies(version, constraint) for version in _versions(mirror))


def _versions(mirror: Path) -> Iterator[str]:
    """Yield the AWS provider's versions in a mirror, unpacked or packed."""
    for registry in _REGISTRIES:
        folder = mirror / registry / "hashicorp" / "aws"
        for program in folder.glob(f"*/{platform_name()}/terraform-provider-aws*"):
            yield program.parent.parent.name
        for archive in folder.glob(f"terraform-provider-aws_*_{platform_name()}.zip"):
            yield archive.name.split("_")[1]


def satisfies(version: str, constraint: str) -> bool:
    """Return whether a version fits a constraint of Terraform's (`5.100.0`, `~> 5.100`, `>= 5, < 6`)."""
    found = _numbers(version)
    for part in filter(None, (part.strip() for part in constraint.split(","))):
        operator, _, text = re.sub(r"^([=!<>~]*)\s*", r"\1 ", part).partition(" ")
        wanted = _numbers(text)
        fits = {
            "": found == wanted,
            "=": found == wanted,
            "!=": found != wanted,
            ">": found > wanted,
            ">=": found >= wanted,
            "<": found < wanted,
            "<=": found <= wanted,
            "~>": found >= wanted and found[: text.count(".")] == wanted[: text.count(".")],
        }
        if not fits[operator]:
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    digits = [int(number) for number in re.findall(r"\d+", version.split("-")[0])]
    return tuple([*digits, 0, 0, 0][:3])


def _user_installs(environment: Mapping[str, str]) -> bool:
    """Return whether the user's own CLI configuration says where providers come from."""
    home = Path(environment.get("HOME", "/"))
    file = Path(environment.get("TF_CLI_CONFIG_FILE") or home / ".terraformrc")
    try:
        return "provider_installation" in file.read_text(encoding="utf-8")
    except OSError:
        return False


def _cached_search(cache: Path, constraint: str, environment: Mapping[str, str]) -> Path | None:
    """Search this machine once; a find is kept and trusted as long as the provider is still there."""
    try:
        known = Path(json.loads(cache.read_text(encoding="utf-8"))["plugin_dir"])
        if has_provider(known, constraint):
            return known
    except (OSError, ValueError, KeyError):
        pass  # nothing is known yet
    home = Path(environment.get("HOME", "/"))
    roots = (home / ".terraform.d", *SEARCHED, home)
    deadline = time.monotonic() + _SEARCH_SECONDS
    for root in roots:
        for mirror in _mirrors(root, deadline):
            if has_provider(mirror, constraint):
                cache.parent.mkdir(parents=True, exist_ok=True)
                cache.write_text(json.dumps({"plugin_dir": str(mirror)}), encoding="utf-8")
                return mirror
    return None


def _mirrors(root: Path, deadline: float) -> Iterator[Path]:
    """Yield the folders below `root` that hold a folder named after a registry, nearest first."""
    level = [root]
    for _ in range(_SEARCH_DEPTH):
        below: list[Path] = []
        for folder in level:
            if time.monotonic() > deadline:
                return
            names = _folders(folder)
            if any(registry in names for registry in _REGISTRIES):
                yield folder
            below += [folder / name for name in names if name not in _SKIPPED and not name.startswith(".git")]
        level = below


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
