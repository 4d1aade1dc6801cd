"""systemctl for emulated machines: units of `/etc/systemd/system` below its root (standard library).

`units.py VERB UNIT...`, as `systemctl` is called; a copy of this file lies among a machine's programs. A
unit that runs is one small shell process that starts the command again as `Restart=` says. Known are
ExecStartPre, ExecStart, Restart, RestartSec, Environment, WorkingDirectory, KillMode, TimeoutStopSec and
After; everything else, users and limits among it, has no effect here.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(os.environ.get("FLEETFORM_ROOT") or "/")
_MARK = f"FLEETFORM_ROOT={os.environ.get('FLEETFORM_ROOT', '')}\0".encode()
_UNITS = _ROOT / "etc/systemd/system"
_ENABLED = _UNITS / "multi-user.target.wants"
_STATE = Path(os.environ.get("FLEETFORM_RUN") or _ROOT / "run/fleetform") / "units"
_JOURNAL = _ROOT / "var/log/journal"
_PROGRAMS = Path(__file__).parent
_INACTIVE, _FAILED, _ACTIVE = "inactive", "failed", "active"
_POLL_SECONDS, _STOP_SECONDS = 0.02, 10.0
EXIT_INACTIVE, EXIT_MISSING = 3, 5
"""As systemctl has them."""


class UnitMissingError(Exception):
    """There is no unit of that name."""


class Unit:
    """One service."""

    def __init__(self, name: str) -> None:
        """Read it; raises UnitMissingError."""
        self.name = name.removesuffix(".service")
        self.folder = _STATE / self.name
        self.settings: dict[str, list[str]] = {}
        try:
            text = (_UNITS / f"{self.name}.service").read_text()
        except FileNotFoundError:
            raise UnitMissingError(f"Unit {self.name}.service not found.") from None
        for line in text.replace("\\\n", " ").splitlines():
            key, assigned, value = line.strip().partition("=")
            if assigned and not key.startswith(("#", ";")):
                self.settings.setdefault(key.strip(), []).append(value.strip())

    def setting(self, key: str, default: str = "") -> str:
        """Return the last value of a setting."""
        return self.settings.get(key, [default])[-1]

    def names(self, key: str) -> set[str]:
        """Return the services that a setting names."""
        words = " ".join(self.settings.get(key, [])).split()
        return {word.removesuffix(".service") for word in words if word.endswith(".service")}

    def pid(self, name: str) -> int:
        """Return the number of the unit's `keeper` or `main` process, 0 where it has ended."""
        try:
            pid = int((self.folder / name).read_text())
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            about, mark = ("environ", _MARK) if name == "main" else ("cmdline", bytes(self.folder))
            is_ours = mark in Path(f"/proc/{pid}/{about}").read_bytes()  # else another got its number
        except (OSError, ValueError):
            return 0
        return pid if state != "Z" and is_ours else 0

    @property
    def state(self) -> str:
        """`active`, `inactive` or `failed`."""
        if self.pid("keeper"):
            return _ACTIVE
        try:
            code = int((self.folder / "ended").read_text())
        except (OSError, ValueError):
            return _INACTIVE
        return _FAILED if code else _INACTIVE

    def start(self) -> None:
        """Start it unless it runs; as with `Type=simple`, nothing is waited for."""
        if self.state == _ACTIVE:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        _JOURNAL.mkdir(parents=True, exist_ok=True)
        restart = self.setting("Restart", "no")
        pause = self.setting("RestartSec", "0.1").removesuffix("s")
        run = [sys.executable, "-I", "-S", __file__, "run", self.name]
        with (_JOURNAL / f"{self.name}.log").open("ab") as journal:
            keeper = subprocess.Popen(
                ["sh", str(_PROGRAMS / "unit"), str(self.folder), restart, pause, *run],
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                start_new_session=True,
            )
        (self.folder / "keeper").write_text(str(keeper.pid))
        keeper.returncode = 0  # it outlives this process

    def stop(self) -> None:
        """End it: asked first, then killed, alone or with its process group as KillMode says."""
        keeper, main = self.pid("keeper"), self.pid("main")
        patience = self.setting("TimeoutStopSec", str(_STOP_SECONDS)).removesuffix("s")
        deadline, asked = time.monotonic() + float(patience), keeper or main
        with contextlib.suppress(ProcessLookupError):
            if asked:
                os.kill(asked, signal.SIGTERM)
        while (self.pid("main") or self.pid("keeper")) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            if left := self.pid("main"):
                os.kill(left, signal.SIGKILL)
            if keeper and self.setting("KillMode", "control-group") == "control-group":
                os.killpg(keeper, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> None:
        """Become the unit's main process, after what is to run before it."""
        for line in self.settings.get("Environment", []):
            os.environ.update(word.partition("=")[::2] for word in shlex.split(line))
        os.environ["SYSTEMD_UNIT"] = self.name
        os.chdir(_below_root(self.setting("WorkingDirectory", "/").lstrip("-")))
        for line in self.settings.get("ExecStartPre", []):
            may_fail, command = _command(line)
            if subprocess.run(command).returncode and not may_fail:
                sys.exit(1)
        _, command = _command(self.setting("ExecStart"))
        os.execvp(command[0], command)  # noqa: S606 - no shell is meant


def _command(line: str) -> tuple[bool, list[str]]:
    """Return whether the command may fail, and its words with a path below the machine's root."""
    bare = line.lstrip("-+!:@")
    words = shlex.split(bare)
    return line.startswith("-"), [_below_root(words[0]), *words[1:]]


def _below_root(path: str) -> str:
    """Return the path below the machine's root where something lies there, else as it is."""
    inside = _ROOT / path.lstrip("/")
    return str(inside) if path.startswith("/") and inside.exists() else path


def _ordered(names: Sequence[str]) -> list[Unit]:
    """Return the units, each behind those of them that it comes after."""
    units = {unit.name: unit for unit in map(Unit, names)}
    done: dict[str, Unit] = {}

    def add(unit: Unit, above: frozenset[str]) -> None:
        for name in sorted(unit.names("After") & (units.keys() - above)):
            add(units[name], above | {unit.name})
        done.setdefault(unit.name, unit)

    for unit in units.values():
        add(unit, frozenset({unit.name}))
    return list(done.values())


def _start(names: Sequence[str]) -> int:
    for unit in _ordered(names):
        unit.start()
    return 0


def _stop(names: Sequence[str]) -> int:
    for unit in reversed(_ordered(names)):
        unit.stop()
    return 0


def _restart(names: Sequence[str]) -> int:
    return _stop(names) or _start(names)


def _enable(names: Sequence[str]) -> int:
    _ENABLED.mkdir(parents=True, exist_ok=True)
    _disable(names)
    for unit in map(Unit, names):
        (_ENABLED / f"{unit.name}.service").symlink_to(f"../{unit.name}.service")
    return 0


def _disable(names: Sequence[str]) -> int:
    for unit in map(Unit, names):
        (_ENABLED / f"{unit.name}.service").unlink(missing_ok=True)
    return 0


def _default(names: Sequence[str]) -> int:
    """Start every unit that is enabled, as a machine does that starts."""
    return _start(sorted(link.stem for link in _ENABLED.glob("*.service")))


def _is_active(names: Sequence[str]) -> int:
    states = [Unit(name).state for name in names]
    if "--quiet" not in sys.argv and "-q" not in sys.argv:
        print("\n".join(states))
    return 0 if _ACTIVE in states else EXIT_INACTIVE


def _show(names: Sequence[str]) -> int:
    for unit in map(Unit, names):
        print(f"ActiveState={unit.state}\nMainPID={unit.pid('main')}")
    return 0


_VERBS = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "enable": _enable,
    "disable": _disable,
    "is-active": _is_active,
    "show": _show,
    "default": _default,
}


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return systemctl's exit code."""
    words = [word for word in arguments if not word.startswith("-")]
    if words[:1] in (["daemon-reload"], ["reset-failed"]):
        return 0  # units are read whenever they are used
    if not words or words[0] not in {*_VERBS, "run"}:
        print(f"an emulated machine's systemctl knows {', '.join(_VERBS)}", file=sys.stderr)
        return 1
    verb, *names = words
    try:
        if verb == "run":
            Unit(names[0]).run()
        if verb == "disable" and "--now" in arguments:
            _stop(names)
        code = _VERBS[verb](names)
        return _start(names) if verb == "enable" and "--now" in arguments else code
    except UnitMissingError as error:
        print(error, file=sys.stderr)
        return EXIT_MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
