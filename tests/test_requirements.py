"""A list of packages is taken only where every line is pinned and hashed; every fault is told at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fleet.requirements import read_requirements
from stacks.problems import UserError

HASH = "--hash=sha256:" + "a" * 64
GOOD = f"""\
# made by pip-compile
einops==0.8.1 \\
    {HASH} \\
    --hash=sha256:{"b" * 64}
    # via -r requirements.in
some_thing[extra]==1.2.3+cu12 ; python_version >= "3.10" {HASH}
Some.Other==2 {HASH}
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_requirements(write(tmp_path, text))
    return [f"{problem.path}: {problem.what}" for problem in caught.value.problems]


def test_a_locked_list_is_known_by_its_digest(tmp_path: Path) -> None:
    found = read_requirements(write(tmp_path, GOOD))
    digest = hashlib.sha256(GOOD.encode()).hexdigest()
    assert (found.packages, found.sha256, found.warnings) == (3, digest, ())
    assert found.to_dict() == {"sha256": digest, "key": f"packages/python/{digest}/requirements.txt"}


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = f"""\
einops
numpy>=1.26 {HASH}
--extra-index-url=https://user:password@example.com/simple
torch==2.13.0
git+https://example.com/x.git
-e .
einops==0.8.1 --hash=md5:{"a" * 32}
thing==1.0 {HASH} --no-binary
fine==1.0 {HASH}
fine==1.1 {HASH}
star==1.* {HASH}
"""
    told = faults(tmp_path, text)
    assert [each.split(":")[0] for each in told] == [f"line {n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11)]
    assert told[0] == "line 1: einops is not pinned to one version"
    assert told[2] == "line 3: --extra-index-url is an option of pip, and only packages are taken"
    assert told[3] == "line 4: torch has no hash"
    assert "password" not in "".join(told)
    assert "stands here and in line 9" in told[8]


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_a_list_of_nothing_is_refused(tmp_path: Path, text: str) -> None:
    assert "names no package" in faults(tmp_path, text)[0]


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can't be read"):
        read_requirements(tmp_path / "nope")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="it is no UTF-8 text"):
        read_requirements(tmp_path / "binary")


def test_a_package_that_hides_the_image_s_own_is_warned_of(tmp_path: Path) -> None:
    (warning,) = read_requirements(write(tmp_path, f"torch==2.13.0 {HASH}\n")).warnings
    assert "brings its own torch" in warning
