"""Runs a user's script in a forked process as if a fresh interpreter had been started with it."""

from __future__ import annotations

import builtins
import faulthandler
import io
import os
import runpy
import signal
import sys
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path

from trainer.launch.pulse import Pulse

STACKS_SIGNAL = signal.SIGRTMIN + 10
"""Has a rank write the Python stacks of its threads to standard error. Scripts have uses of their own for
SIGUSR1 and SIGUSR2, Slurm's notice among them."""


def run_script(target: str, arguments: Sequence[str], *, is_module: bool) -> None:
    """Run it as `python TARGET ARGUMENTS`, or `python -m TARGET ARGUMENTS`, would; ends as SystemExit.

    What a script can see of the start is put right: sys.argv, sys.path, `__main__`, no module of ours among
    the imported ones. An exception that nobody catches is printed by sys.excepthook and told to the launcher.
    """
    pulse = Pulse.open()
    faulthandler.register(STACKS_SIGNAL, file=2, all_threads=True)
    sys.orig_argv = [sys.executable, "-u", *(["-m"] if is_module else []), target, *arguments]
    sys.argv = ["-m" if is_module else target, *arguments]
    try:
        _execute(target, is_module)
    except SystemExit as ending:
        if isinstance(ending.code, str):  # the interpreter prints it and exits 1
            pulse.cause(f"SystemExit: {ending.code}")
        raise
    except KeyboardInterrupt as error:
        _report(error, pulse)
        sys.exit(128 + signal.SIGINT)
    except BaseException as error:
        _report(error, pulse)
        sys.exit(1)


def forget_ourselves() -> None:
    """Take our modules out: `import trainer` in a script with a trainer.py beside it means that file."""
    for name in [name for name in sys.modules if name == "trainer" or name.startswith("trainer.")]:
        del sys.modules[name]


def _execute(target: str, is_module: bool) -> None:
    main = types.ModuleType("__main__")
    main.__dict__.update({"__builtins__": builtins, "__annotations__": {}})
    sys.modules["__main__"] = main
    if is_module:
        _first_on_path(str(Path.cwd()))
        _run_as_main(target, alter_argv=True)
        return
    if not Path(target).is_file() or _is_archive(target):  # a folder or an archive with a __main__.py in it
        _first_on_path(os.path.abspath(target))  # noqa: PTH100 - as Python does
        _run_as_main("__main__", alter_argv=False)
        return
    path = os.path.abspath(target)  # noqa: PTH100 - links in it stay, as in Python's own __file__
    _first_on_path(str(Path(target).resolve().parent))
    loader = SourceFileLoader("__main__", path)
    main.__dict__.update({"__file__": path, "__loader__": loader, "__cached__": None})
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102 - this is what running a script is


def _run_as_main(name: str, *, alter_argv: bool) -> None:
    """Do what the interpreter's own -m does; runpy has no public name for it."""
    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]


def _is_archive(target: str) -> bool:
    with Path(target).open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _first_on_path(folder: str) -> None:
    """Put the folder where the interpreter puts that of a script, unless it was told not to."""
    if not sys.flags.safe_path:
        sys.path.insert(0, folder)


def _report(error: BaseException, pulse: Pulse) -> None:
    """Tell the launcher and standard error; the traceback begins with the script's own frames."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    name = type(error).__name__
    pulse.cause(f"{name}: {first.strip()}" if first else name)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
