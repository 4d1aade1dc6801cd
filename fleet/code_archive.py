"""The user's code as one archive: the script's folder, the same bytes for the same files."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from fleet.git_state import GitState, git_state, ignored_paths
from stacks.problems import UserError

LIMIT_BYTES = 50 * 1024 * 1024
"""Most that the files may measure together, before compression: code is small, data belongs elsewhere."""
LEFT_OUT = ("__pycache__", "node_modules", "runs", "cdktf.out")
SECRETS = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx", "*.keystore", "id_rsa*",
    "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", ".pypirc", ".npmrc", "credentials", "credentials.json",
    "credentials.toml", "credentials.ini", "credentials.csv", "credentials.y*ml", "secrets.json",
    "secrets.toml", "secrets.ini", "secrets.y*ml", "service-account*.json", "service_account*.json",
    "*.tfstate",
)  # fmt: skip
"""Names of files that hold keys and passwords: a bucket is no place for them."""
_SHOWN = 5


@dataclass(frozen=True)
class CodeArchive:
    """A packed folder."""

    body: bytes
    """gzipped tar."""
    sha256: str
    files: int
    secrets: tuple[str, ...] = ()
    """Files that look like secrets and were left out, by their path in the folder."""
    ignored: tuple[str, ...] = ()
    """What .gitignore names and was left out."""
    git: GitState | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as `run.json` names it."""
        git = self.git.to_dict() if self.git else None
        return {"sha256": self.sha256, "files": self.files, "git": git, "left_out": sorted(self.secrets)}

    def warnings(self) -> list[str]:
        """Return what its owner should know of what stayed behind."""
        found = []
        if self.secrets:
            found.append(f"{_names(self.secrets)} did not travel with the code: they look like secrets")
        if self.ignored:
            found.append(f"{_names(self.ignored)} did not travel with the code, as .gitignore says")
        return found


def _names(paths: tuple[str, ...]) -> str:
    more = len(paths) - _SHOWN
    return ", ".join(paths[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


@dataclass
class _Walk:
    """One look at a folder."""

    root: Path
    skip: frozenset[str]
    """What git ignores, by its path in the folder."""
    keep: str
    """The one file that travels whatever git says of it; "" for none."""
    secrets: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    def files(self, folder: Path) -> Iterator[Path]:
        """Yield the files that travel; links are not followed into other folders, linked files are copied."""
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = Path(entry.path)
            name = path.relative_to(self.root).as_posix()
            if not entry.is_dir() and any(fnmatch(entry.name.lower(), each) for each in SECRETS):
                self.secrets.append(name)
            elif entry.name.startswith(".") or entry.name in LEFT_OUT or entry.name.endswith(".pyc"):
                continue
            elif entry.is_dir(follow_symlinks=False):
                if not (path / "pyvenv.cfg").exists() and not self._skips(f"{name}/"):
                    yield from self.files(path)
            elif entry.is_file() and not self._skips(name):
                yield path

    def _skips(self, name: str) -> bool:
        if name not in self.skip or name == self.keep or (name[-1] == "/" and self.keep.startswith(name)):
            return False
        self.ignored.append(name)
        return True


def pack(folder: Path, script: str = "") -> CodeArchive:
    """Pack the folder without hidden entries, virtual environments, the folders of LEFT_OUT, and secrets.

    Nor does travel what .gitignore names, but for the `script`. Raises UserError where something in it can't
    be read, and where the files are larger than LIMIT_BYTES together, naming the largest.
    """
    walk = _Walk(folder, ignored_paths(folder), script)
    try:
        files = sorted(walk.files(folder))
    except PermissionError as error:
        raise UserError.of(
            f"{error.filename} can't be read, and it would travel with the script",
            "move the script into a folder of its own",
            path="SCRIPT",
        ) from error
    _require_small(folder, files)
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            _add(archive, file, file.relative_to(folder).as_posix())
    body = gzip.compress(tarred.getvalue(), compresslevel=6, mtime=0)
    digest = hashlib.sha256(body).hexdigest()
    return CodeArchive(body, digest, len(files), tuple(walk.secrets), tuple(walk.ignored), git_state(folder))


def _require_small(folder: Path, files: Iterable[Path]) -> None:
    """Raise UserError, naming the largest, where the files are too large together."""
    sizes = {file: file.stat().st_size for file in files}
    total = sum(sizes.values())
    if total <= LIMIT_BYTES:
        return
    largest = sorted(sizes, key=lambda file: -sizes[file])[:3]
    names = ", ".join(f"{file.relative_to(folder)} ({sizes[file] / 1e6:.1f} MB)" for file in largest)
    raise UserError.of(
        f"the folder {folder} holds {total / 1e6:.0f} MB, and at most {LIMIT_BYTES / 1e6:.0f} MB travel"
        f" with a script; the largest files are {names}",
        "move the script into a folder of its own, or the large files out of it",
        path="SCRIPT",
    )


def _add(archive: tarfile.TarFile, file: Path, name: str) -> None:
    data = file.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    # Neither owners nor times: the same files make the same digest on every machine.
    entry.mode = 0o755 if os.access(file, os.X_OK) else 0o644
    archive.addfile(entry, io.BytesIO(data))
