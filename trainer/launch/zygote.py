"""The process that has torch imported and forks the ranks: `python -u zygote.py SOCKET KIND TARGET [ARGS]`.

It never runs the user's code and never touches a GPU, so that what it forks is as good as new. Orders come in
through a socket of whole messages, each one JSON object, with the file descriptors that it names; out go
`ready`, `forked`, `ended` and `store`. When the other end closes, everything that it started is killed.
KIND is `script` or `module`, TARGET and its arguments are what the ranks run; they stand on the command line
so that `ps` shows whose ranks these are. With `rank` for SOCKET it is itself a rank, in a fresh interpreter.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

# This file is run by its path, so that its folder stands first in sys.path; a rank's own will.
if not sys.flags.safe_path:
    del sys.path[0]
sys.path.insert(0, str(Path(__file__).parents[2]))

from trainer.launch import ahead, kernel, script

del sys.path[0]

LARGEST_MESSAGE = 65536
MAX_FDS = 8
_IDLE_SECONDS = 3.0
"""How long the ranks run before more is imported for those of a restart: they start up on the same cores."""


class Zygote:
    """Takes orders until it is told to fork a rank, in the rank; in itself until the other end closes."""

    def __init__(self, channel: socket.socket, later: tuple[str, ...]) -> None:
        """`later` are modules to import while ranks run."""
        self._channel = channel
        self._children: set[int] = set()
        self._cold = list(later)
        self._wake, wake_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        self._wake_end = wake_end
        self._hangup = signal.getsignal(signal.SIGHUP)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # the launcher alone decides

    def serve(self) -> dict[str, Any]:
        """Carry orders out; returns in a forked rank, with the order that made it."""
        self._send({"is": "ready"})
        while True:
            patience = _IDLE_SECONDS if self._cold and self._children else None
            watched: list[Any] = [self._channel, self._wake]
            readable = select.select(watched, [], [], patience)[0]
            if not readable:
                self._warm_up()
            if self._wake in readable:
                os.read(self._wake, 4096)
                self._reap()
            if self._channel in readable:
                data, fds, _, _ = socket.recv_fds(self._channel, LARGEST_MESSAGE, MAX_FDS)
                if not data:
                    self._end()
                order = json.loads(data)
                if self._fork(order, fds):
                    return {**order, "fds": fds}
                for fd in fds:
                    os.close(fd)

    def _fork(self, order: dict[str, Any], fds: list[int]) -> bool:
        """Fork a rank or a store; returns True in the rank."""
        gc.collect()
        gc.freeze()  # what is here now is shared with the child; its collector need not touch it
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children.add(pid)
            self._send({"is": "forked", "id": order["id"], "pid": pid})
            return False
        os.setsid()
        kernel.die_with_parent()
        if os.getppid() != parent:  # it died before the kernel knew
            os._exit(1)
        signal.set_wakeup_fd(-1)
        os.close(self._wake)
        os.close(self._wake_end)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, self._hangup)  # ignored under nohup
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if order["do"] == "store":
            self._host_store(order["id"])
        self._channel.close()
        return True

    def _host_store(self, order_id: int) -> None:
        """Be the TCP store of one attempt until killed; the kernel chooses its port."""
        try:
            store_type: Any = importlib.import_module("torch.distributed").TCPStore
        except ImportError as error:
            give_up(self._channel, error)
        kernel.set_name("rank store")
        # Clients connect to whatever address the node has; the server listens on all.
        store = store_type("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        self._send({"is": "store", "id": order_id, "port": store.port})
        self._channel.close()
        while True:
            signal.pause()

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.discard(pid)
            self._send({"is": "ended", "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _warm_up(self) -> None:
        """Import one of the modules that a restarted rank will want."""
        with ahead.lasting():
            ahead.import_all([self._cold.pop(0)])

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps({**message, "time": time.monotonic()}).encode())
        except OSError:
            self._end()

    def _end(self) -> None:
        """The launcher is gone: leave nothing behind."""
        kernel.adopt_orphans()
        kernel.kill_children()
        os._exit(0)


def dress(order: dict[str, Any]) -> None:
    """Give the forked process the environment, the descriptors and the randomness of a rank."""
    names = order["fd_names"]
    for name, fd in zip(names, order["fds"], strict=True):
        if name in ("stdout", "stderr"):
            os.dup2(fd, 1 if name == "stdout" else 2)
            os.close(fd)
        else:
            os.environ[name] = str(fd)
    os.environ.update(order["environment"])
    kernel.set_name(f"rank {os.environ['RANK']}")
    # Python's own generator seeds itself anew in a fork; numpy's and torch's would be the same in every rank.
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def main() -> None:
    """Serve; what returns is a rank, which runs the script."""
    kind, target, *arguments = sys.argv[2:]
    if sys.argv[1] == "rank":
        script.forget_ourselves()
    else:
        serve(socket.socket(fileno=int(sys.argv[1])), target, kind == "module")
    script.run_script(target, arguments, is_module=kind == "module")


def give_up(channel: socket.socket, error: ImportError) -> NoReturn:
    """Tell the launcher that torch cannot be imported here, and end: nobody needs to try again."""
    first = str(error).strip().partition("\n")[0]
    why = f"torch cannot be imported by {sys.executable}: {type(error).__name__}: {first}"
    channel.send(json.dumps({"is": "broken", "why": why}).encode())
    os._exit(1)


def serve(channel: socket.socket, target: str, is_module: bool) -> None:
    """Be the zygote for this program; returns in each rank that is forked."""
    kernel.die_with_parent()  # until it reads its socket: importing takes seconds
    start = channel.recv(LARGEST_MESSAGE).decode()
    if start == "fork":
        with ahead.lasting():
            try:
                importlib.import_module("torch")
            except ImportError as error:
                give_up(channel, error)
            ours = ahead.ours(target, is_module)
            if not ours or not ahead.import_all(ours):
                script.forget_ourselves()
    kernel.die_with_parent(0)
    order = Zygote(channel, ahead.later(target, is_module) if start == "fork" else ()).serve()
    dress(order)
    if start == "spawn" or ahead.gpu_is_open():
        for name in order["fd_names"]:
            if name not in ("stdout", "stderr"):
                os.set_inheritable(int(os.environ[name]), True)
        command = [sys.executable, "-u", __file__, "rank", *sys.argv[2:]]
        os.execv(sys.executable, command)  # noqa: S606


if __name__ == "__main__":
    main()
