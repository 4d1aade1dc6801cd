"""The packages that a run brings along: installed once for each list of them, in an environment of their own.

`prepare_packages` returns the Python that has them and, behind them, everything that the image's Python has.
The list is locked (every version pinned, every file hashed), so its digest names what is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from node.aws import client, failures
from node.config import NodeConfig
from node.layout import utc_now
from node.store import Bucket

KEY = "packages/python/{sha256}/requirements.txt"
"""Where a list lies in the artifact bucket."""
WHEELS = "packages/wheels/"
"""Wheels that nodes take from the artifact bucket instead of an index; closed networks have nothing else."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAMED = re.compile(
    r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*===?\s*([A-Za-z0-9.!+_-]+)"
    r"(?:[ \t]*;[ \t]*((?:[^\\#\n-]|-(?!-hash))+))?",
    re.MULTILINE,
)
_INSTALL_SECONDS = 1800.0
_SHOWN_LINES = 15
_DONE = "complete.json"
"""In an environment that is whole; one without it is what a killed installation has left."""


_PASSING = re.compile(
    r"connection (broken|refused|reset|aborted)|temporary failure|timed out|NewConnectionError|ProxyError"
    r"|\b(429|500|502|503|504) (Client|Server) Error|HTTP error (429|5\d\d)|No space left",
    re.IGNORECASE,
)
"""What pip says where the same list may well be installed a little later, or elsewhere."""
_FIND_APPLYING = """
import json, sys
from pip._vendor.packaging.markers import Marker
print(json.dumps([Marker(text).evaluate() for text in json.loads(sys.argv[1])]))
"""
"""Asks a Python which markers apply to it, of those that pip understands."""


class PackagesError(Exception):
    """The packages can't be installed; the message says why, its first line alone too."""


class PackagesAwayError(PackagesError):
    """They can't be had just now, or just here."""


def prepare_packages(config: NodeConfig, sha256: str) -> Path:
    """Return the Python of the environment with that list's packages, made now unless it is there.

    Two runs that want the same one at once make it once. Raises PackagesError.
    """
    if not _DIGEST.fullmatch(sha256):
        raise PackagesError(f"{sha256[:80]!r} is no digest of a list of packages")
    root = config.work / "packages"
    root.mkdir(parents=True, exist_ok=True)
    folder = root / sha256
    python = folder / "bin" / "python"
    with _locked(root / f"{sha256}.lock"):
        if not (folder / _DONE).is_file():
            if folder.exists():
                shutil.rmtree(folder)
            try:
                _make(config, sha256, folder, python)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return python


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel frees it with the process
        yield


def _make(config: NodeConfig, sha256: str, folder: Path, python: Path) -> None:
    """Make the environment in its place, for its programs name their folder; its mark comes last."""
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    try:
        body = bucket.get(KEY.format(sha256=sha256))
    except failures() as error:
        raise PackagesAwayError(f"the list of packages can't be fetched: {error}") from error
    if body is None or hashlib.sha256(body).hexdigest() != sha256:
        state = "is missing" if body is None else "is damaged"
        raise PackagesError(f"s3://{bucket.name}/{KEY.format(sha256=sha256)} {state}")
    _run([config.python, "-m", "venv", "--without-pip", str(folder)], "an environment can't be made")
    _show_image_packages(config.python, python)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".wheels.") as temporary:
        requirements = Path(temporary) / "requirements.txt"
        requirements.write_bytes(body)
        wheels = _fetch_wheels(bucket, _wanted(config.python, body.decode()), Path(temporary) / "wheels")
        source = ["--no-index", "--find-links", str(wheels)] if wheels else []
        arguments = ["--require-hashes", "--no-deps", "--no-cache-dir", *source, "-r", str(requirements)]
        pip = [
            config.python,
            "-m",
            "pip",
            "--python",
            str(python),
            "--no-input",
            "--disable-pip-version-check",
        ]
        _run([*pip, "install", "--quiet", *arguments], "the packages can't be installed")
    part = folder / f".{_DONE}.part"
    part.write_text(json.dumps({"sha256": sha256, "time": utc_now()}))
    part.replace(folder / _DONE)


def _show_image_packages(image: str, python: Path) -> None:
    """Let the environment find what the image's Python has, behind its own packages.

    An environment can only be told to use the packages of the Python that it is made from, and the image's is
    often an environment itself, whose packages that leaves out.
    """
    program = "import json, sys, sysconfig; print(json.dumps([sysconfig.get_path('purelib'), *sys.path]))"
    paths = json.loads(_run([image, "-c", program], "the image's Python does not start"))
    own = json.loads(_run([str(python), "-c", program], "the environment's Python does not start"))
    behind = [path for path in paths if path and path not in own and Path(path).is_dir()]
    Path(own[0], "fleetform-image.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(behind)))


def _wanted(python: str, requirements: str) -> set[tuple[str, str]]:
    """Return names and versions of what the list means for that Python: lines may have markers."""
    lines = [
        (_plain(name), version, marker.strip()) for name, version, marker in _NAMED.findall(requirements)
    ]
    markers = sorted({marker for *_, marker in lines if marker})
    applies = dict.fromkeys(["", *markers], True)
    if markers:
        with suppress(PackagesError):  # pip says what is wrong with one, in its own words
            told = _run([python, "-c", _FIND_APPLYING, json.dumps(markers)], "markers can't be read")
            applies |= dict(zip(markers, json.loads(told), strict=True))
    return {(name, version) for name, version, marker in lines if applies[marker]}


def _fetch_wheels(bucket: Bucket, wanted: set[tuple[str, str]], folder: Path) -> Path | None:
    """Bring the bucket's wheels of all the packages, or return None where it lacks one of them."""
    try:
        found: dict[tuple[str, str], list[str]] = {}
        for key in bucket.sizes(WHEELS):
            name, version, *rest = (*key.removeprefix(WHEELS).split("-"), "")
            if rest and key.endswith(".whl"):
                found.setdefault((_plain(name), version), []).append(key)
        if not wanted <= set(found):
            return None
        folder.mkdir()
        for key in (key for each in wanted for key in found[each]):
            body = bucket.get(key)
            if body is not None:
                (folder / Path(key).name).write_bytes(body)
    except failures() as error:
        raise PackagesAwayError(
            f"the wheels in s3://{bucket.name}/{WHEELS} can't be fetched: {error}"
        ) from error
    return folder


def _plain(name: str) -> str:
    """Return a package's name as wheels and requirements both can be compared by."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _run(command: Sequence[str], what: str) -> str:
    """Run a program and return what it says; raises PackagesError with the end of its words.

    It is a PackagesAwayError where it had no time, or no way to what it needs.
    """
    hidden = ("PYTHONPATH", "PYTHONHOME")  # of whoever runs us
    try:
        done = subprocess.run(
            list(command),
            env={name: value for name, value in os.environ.items() if name not in hidden},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PackagesAwayError(f"{what} within {_INSTALL_SECONDS:.0f} s") from error
    except OSError as error:
        raise PackagesError(f"{what}: {error}") from error
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        failure = PackagesAwayError if _PASSING.search("\n".join(said)) else PackagesError
        raise failure("\n".join([f"{what}:", *said[-_SHOWN_LINES:]]))
    return done.stdout
