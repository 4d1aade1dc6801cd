"""The packages that a run brings along: a requirements file in which every line is pinned and hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks.problems import Problem, UserError

LIMIT_BYTES = 1024 * 1024
OPTION = "--packages"
_PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9._,\s-]*\])?\s*===?\s*(?P<version>[A-Za-z0-9.!+_-]+)"
    r"\s*(;[^\n]*?)?\s*$"
)
_HASH = re.compile(r"\s--hash[=\s]sha(256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})(?=\s|$)")
_COMMENT = re.compile(r"(^|\s)#.*$")
_LOCK = "lock it: `uv pip compile --generate-hashes`, or `pip-compile --generate-hashes`"
_OF_THE_IMAGE = frozenset({"torch", "numpy", "boto3", "triton"})
"""What the node's image brings, built for its GPUs; another one would hide it."""


@dataclass(frozen=True)
class LockedRequirements:
    """A checked requirements file."""

    sha256: str
    body: bytes
    packages: int
    warnings: tuple[str, ...]

    @property
    def key(self) -> str:
        """Where it lies in the artifact bucket."""
        return f"packages/python/{self.sha256}/requirements.txt"

    def to_dict(self) -> dict[str, str]:
        """Return it as `run.json` names it."""
        return {"sha256": self.sha256, "key": self.key}


def read_requirements(file: Path) -> LockedRequirements:
    """Read and check a requirements file; raises UserError with every problem of it at once."""
    try:
        body = file.read_bytes()
        text = body.decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        what = f"{file} can't be read: {why}"
        raise UserError.of(what, "name a requirements file, locked with hashes", path=OPTION) from error
    if len(body) > LIMIT_BYTES:
        raise UserError.of(f"{file} has {len(body)} bytes", f"at most {LIMIT_BYTES} are taken", path=OPTION)
    names: dict[str, int] = {}
    problems = [
        problem for number, line in _lines(text) for problem in _faults(str(file), number, line, names)
    ]
    if not names and not problems:
        problems = [Problem(what=f"{file} names no package", do="leave the option out", path=OPTION)]
    if problems:
        raise UserError(problems)
    hidden = sorted(_OF_THE_IMAGE & set(names))
    warnings = [
        f"{file} brings its own {name}, which hides the nodes' image's, and that was built for its GPUs"
        for name in hidden
    ]
    return LockedRequirements(hashlib.sha256(body).hexdigest(), body, len(names), tuple(warnings))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the logical lines with the number of their first one: continued, without comments, not empty."""
    begun, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        bare = _COMMENT.sub("", line).rstrip()
        if bare.endswith("\\"):
            parts.append(bare[:-1])
            continue
        whole = " ".join([*parts, bare]).strip()
        if whole:
            yield begun, whole
        begun, parts = 0, []
    if parts:
        yield begun, " ".join(parts).strip()


def _faults(file: str, number: int, line: str, names: dict[str, int]) -> Iterator[Problem]:
    """Yield what is wrong with a logical line; the package that it names is noted in `names`."""
    where = f"line {number}"
    if line.startswith("-"):
        option = line.split()[0].split("=")[0]
        yield Problem(
            what=f"{option} is an option of pip, and only packages are taken",
            do="write the packages themselves into the file; where they come from is the nodes' own affair",
            file=file,
            path=where,
        )
        return
    spec = line.split(" --hash")[0].strip()
    found = _PINNED.fullmatch(spec)
    if found is None:
        shown = re.split(r"[\s;@=<>!~\[]", spec)[0][:60]
        yield Problem(what=f"{shown} is not pinned to one version", do=_LOCK, file=file, path=where)
        return
    name = re.sub(r"[-_.]+", "-", found["name"]).lower()
    if name in names and ";" not in spec:
        what = f"{name} stands here and in line {names[name]}"
        yield Problem(what=what, do="keep one of them", file=file, path=where)
    names.setdefault(name, number)
    rest = _HASH.sub("", " " + line[len(line.split(" --hash")[0]) :]).strip()
    if " --hash" not in line:
        yield Problem(what=f"{name} has no hash", do=_LOCK, file=file, path=where)
    elif rest:
        hint = " (a hash is `sha256:` and 64 hexadecimal digits)" if "--hash" in rest else ""
        yield Problem(what=f"{rest[:60]!r} is not understood{hint}", do=_LOCK, file=file, path=where)
