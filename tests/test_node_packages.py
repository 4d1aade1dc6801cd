"""A list of packages becomes an environment once, before the image's own, or fails with the reason."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import subprocess
import sys
import threading
import uuid
import zipfile
from pathlib import Path

import pytest

from fleet import aws
from fleet.cloud import Cloud
from node import inputs, packages
from node.config import NodeConfig
from node.inputs import InputError, WrongInputError
from node.packages import KEY, WHEELS, PackagesError, prepare_packages

pytestmark = pytest.mark.sandbox
NOWHERE = "http://127.0.0.1:9/simple"
"""An index that does not answer."""


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """Write a wheel of one module and one program."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\ndef main():\n    print('program', VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-run = {name}:main\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def config(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeConfig:
    for name, value in sandbox.variables.items():
        monkeypatch.setenv(name, value)
    bucket = f"packages-{uuid.uuid4().hex[:12]}"
    s3 = aws.client(sandbox, "s3", "us-east-1")
    s3.create_bucket(Bucket=bucket)
    monkeypatch.setattr(packages, "client", lambda service, region: s3)
    return NodeConfig(
        environment="lab", region="us-east-1", artifact_bucket=bucket, dataset_bucket=bucket, role="node",
        fleet="gpu", node_document="", storage_key="", python=sys.executable, root=tmp_path / "node",
    )  # fmt: skip


def publish(sandbox: Cloud, config: NodeConfig, text: str, *wheels: Path) -> str:
    """Put a list and wheels into the bucket and return the list's digest."""
    s3 = aws.client(sandbox, "s3", "us-east-1")
    digest = hashlib.sha256(text.encode()).hexdigest()
    s3.put_object(Bucket=config.artifact_bucket, Key=KEY.format(sha256=digest), Body=text.encode())
    for wheel in wheels:
        key = f"{WHEELS}{wheel.name}"
        s3.put_object(Bucket=config.artifact_bucket, Key=key, Body=wheel.read_bytes())
    return digest


def locked(name: str, version: str, wheel: Path) -> str:
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_two_runs_at_once_get_one_environment_with_the_image_s_packages_behind_its_own(
    sandbox: Cloud, config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(tmp_path, "fleettestpkg", "1.2")
    digest = publish(sandbox, config, locked("FleetTestPkg", "1.2", wheel), wheel)
    made: list[str] = []
    make = packages._make

    def counted(config: NodeConfig, sha256: str, folder: Path, python: Path) -> None:
        made.append(sha256)
        make(config, sha256, folder, python)

    monkeypatch.setattr(packages, "_make", counted)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(prepare_packages(config, digest))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (made, found[0] == found[1]) == ([digest], True)
    has_torch = "importlib.util.find_spec('torch') is not None"
    program = f"import fleettestpkg, importlib.util; print(fleettestpkg.VERSION, {has_torch})"
    said = subprocess.run([str(found[0]), "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.split()[0] == "1.2"
    image = f"import importlib.util; print({has_torch})"
    there = subprocess.run([sys.executable, "-c", image], capture_output=True, text=True, check=True)
    assert said.stdout.split()[1] == there.stdout.strip()
    program_file = str(found[0].parent / "fleettestpkg-run")
    run = subprocess.run([program_file], capture_output=True, text=True, check=True)
    assert run.stdout == "program 1.2\n"
    assert not [path for path in (config.work / "packages").iterdir() if path.name.startswith(".wheels")]


def test_what_a_killed_installation_has_left_is_made_anew(
    sandbox: Cloud, config: NodeConfig, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "fleettestpkg", "1.3")
    digest = publish(sandbox, config, locked("fleettestpkg", "1.3", wheel), wheel)
    half = config.work / "packages" / digest
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("half")
    python = prepare_packages(config, digest)
    assert subprocess.run([str(python), "-c", "import fleettestpkg"], check=False).returncode == 0


def test_a_file_that_is_not_the_hashed_one_is_refused_with_pip_s_words_and_leaves_nothing(
    sandbox: Cloud, config: NodeConfig, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path, "fleettestpkg", "1.4")
    text = f"fleettestpkg==1.4 --hash=sha256:{'0' * 64}\n"
    digest = publish(sandbox, config, text, wheel)
    with pytest.raises(PackagesError, match=r"(?s)can't be installed.*HASHES"):
        prepare_packages(config, digest)
    assert not (config.work / "packages" / digest).exists()


def test_lines_that_are_for_other_machines_need_no_wheel(
    sandbox: Cloud, config: NodeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    here, nice = make_wheel(tmp_path, "fleettestpkg", "1.5"), make_wheel(tmp_path, "fleettestnice", "1")
    only = locked("fleettestnice", "1", nice).replace("==1 ", '==1 ; python_version >= "3" ')
    other = f'colorama==0.4.6 ; sys_platform == "win32" \\\n    --hash=sha256:{"0" * 64}\n'
    digest = publish(sandbox, config, locked("fleettestpkg", "1.5", here) + only + other, here, nice)
    python = prepare_packages(config, digest)
    both = "import fleettestpkg, fleettestnice"
    assert subprocess.run([str(python), "-c", both], check=False).returncode == 0


def test_an_index_that_is_not_reached_is_no_fault_of_the_list(
    sandbox: Cloud, config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", NOWHERE)
    monkeypatch.setenv("PIP_RETRIES", "1")
    digest = publish(sandbox, config, f"einops==0.8.1 --hash=sha256:{'0' * 64}\n")
    run = {"packages": {"sha256": digest}}
    with pytest.raises(InputError, match="can't be had") as caught:
        inputs._python(config, run)
    assert not isinstance(caught.value, WrongInputError), "another machine, or another time, may be better"
    with pytest.raises(WrongInputError, match="is missing"):
        inputs._python(config, {"packages": {"sha256": "0" * 64}})


def test_a_list_that_is_missing_damaged_or_no_digest_is_refused(sandbox: Cloud, config: NodeConfig) -> None:
    with pytest.raises(PackagesError, match="is missing"):
        prepare_packages(config, "0" * 64)
    digest = publish(sandbox, config, "einops==0.8.1\n")
    aws.client(sandbox, "s3", "us-east-1").put_object(
        Bucket=config.artifact_bucket, Key=KEY.format(sha256=digest), Body=b"other==1\n"
    )
    with pytest.raises(PackagesError, match="is damaged"):
        prepare_packages(config, digest)
    for text in ("../../etc", "", "A" * 64, "x; rm -rf /"):
        with pytest.raises(PackagesError, match="is no digest"):
            prepare_packages(config, text)


def test_an_image_without_a_working_python_is_named(sandbox: Cloud, config: NodeConfig) -> None:
    digest = publish(sandbox, config, "einops==0.8.1\n")
    broken = dataclasses.replace(config, python="/nowhere/python")
    with pytest.raises(PackagesError, match="an environment can't be made"):
        prepare_packages(broken, digest)
