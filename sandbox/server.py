"""The embedded cloud's process: moto behind our middleware on a loopback port, `python -m sandbox.server`."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sandbox.at_start import settle
from sandbox.place import Place, write_atomically, write_json
from sandbox.variables import LOOPBACK, endpoint

# Read by moto when it is imported. Without the first, AWS's managed policies do not exist.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.http import http_date
from werkzeug.serving import BaseWSGIServer, make_server

from sandbox.clock import Clock
from sandbox.engine import PLAIN, SCHEDULERS
from sandbox.functions import Functions
from sandbox.install import install_extensions
from sandbox.layouts.base import LayoutError
from sandbox.metadata import Metadata
from sandbox.middleware import Middleware
from sandbox.nodes import Nodes
from sandbox.parts import Parts

_LOCK_SECONDS = 2.0
_WATCH_SECONDS = 1.0
"""How often the server looks whether its folder is still there."""


class Handler(MotoRequestHandler):  # type: ignore[misc]
    """Answers over kept-alive connections, without a line of log per request."""

    protocol_version = "HTTP/1.1"
    # Headers and body are two writes; with Nagle's algorithm the second waits 40 ms for the client's ACK.
    disable_nagle_algorithm = True
    clock = Clock()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the Date of an answer, which clients take for the cloud's time."""
        return http_date(self.clock.now() if timestamp is None else timestamp)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing; the middleware keeps the calls."""


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM; refuse to start where the working folder's cloud already runs."""
    options = _options(arguments)
    place = Place(options.home)
    lock = _take(place.lock)
    place.record.unlink(missing_ok=True)  # left by a crash
    nodes = _make_nodes(place, options)
    nodes.clean_up()  # likewise
    app = Middleware(DomainDispatcherApplication(create_backend_app))
    Handler.clock = app.clock
    server = _bind(place, app)
    _open_for_nodes(nodes, server.port, app)
    app.metadata = Metadata(nodes, app.turn).answer
    install_extensions(
        Parts(
            nodes=nodes,
            faults=app.faults,
            clock=app.clock,
            functions=Functions(place, app.clock, lambda: nodes.endpoint),
            turn=app.turn,
            pages=app.pages,
            witnesses=app.witnesses,
        )
    )
    settle()
    _record(place, server.port, options, nodes)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    if options.ready_fd is not None:
        with contextlib.suppress(BrokenPipeError):  # who started us may have been killed; the next finds us
            os.write(options.ready_fd, b"ready")
        os.close(options.ready_fd)
    threading.Thread(target=_end_with_folder, args=[place, lock, server], daemon=True).start()
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        nodes.close()
        place.record.unlink(missing_ok=True)
        lock.close()
    os._exit(0)  # request threads that still wait for something must not keep the process


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.server", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the project's working folder")
    parser.add_argument("--cores-per-node", type=int, default=1, help="cores of this machine for each node")
    parser.add_argument("--scheduler", choices=SCHEDULERS, default=PLAIN, help="what carries out runs")
    parser.add_argument("--slurm-prefix", type=Path, help="where Slurm's packages are unpacked")
    parser.add_argument("--ready-fd", type=int, help="file descriptor to write `ready` to")
    return parser.parse_args(arguments)


def _take(file: Path) -> IO[str]:
    """Return the lock file, locked; retried, because whoever asks for the status holds it for an instant."""
    handle = file.open("w")
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"an embedded cloud already runs: {file} is locked")
            time.sleep(0.01)


def _end_with_folder(place: Place, lock: IO[str], server: BaseWSGIServer) -> None:
    """Shut the server down once its folder was deleted, as nobody can find it any more."""
    while True:
        time.sleep(_WATCH_SECONDS)
        try:
            ours = os.path.samestat(place.lock.stat(), os.fstat(lock.fileno()))
        except FileNotFoundError:
            ours = False
        if not ours:
            server.shutdown()
            return


def _bind(place: Place, app: Middleware) -> BaseWSGIServer:
    """Return a server on the port of the last one, or on a free one where that is taken."""
    last = int(place.port.read_text()) if place.port.is_file() else 0
    for port in dict.fromkeys((last, 0)):
        try:
            server = make_server(LOOPBACK, port, app, threaded=True, request_handler=Handler)
        except (OSError, SystemExit):  # werkzeug exits where the port is taken
            continue
        server.daemon_threads = True  # type: ignore[attr-defined]
        write_atomically(place.port, f"{server.port}\n")
        return server
    sys.exit(f"no free port on {LOOPBACK}")


def _make_nodes(place: Place, options: argparse.Namespace) -> Nodes:
    try:
        return Nodes(
            place,
            cores_per_node=options.cores_per_node,
            scheduler=options.scheduler,
            slurm_prefix=options.slurm_prefix,
        )
    except LayoutError as error:
        sys.exit(str(error))


def _open_for_nodes(nodes: Nodes, port: int, app: Middleware) -> None:
    """Make the nodes' network and answer on it as well, where it is not this computer's."""
    try:
        door = nodes.open(port)
    except LayoutError as error:
        nodes.close()
        sys.exit(str(error))
    if door is None:
        return
    gateway = nodes.engine.layout.gateway
    server = make_server(gateway, port, app, threaded=True, request_handler=Handler, fd=door.fileno())
    door.close()
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=[0.5], daemon=True).start()


def _record(place: Place, port: int, options: argparse.Namespace, nodes: Nodes) -> None:
    write_json(
        place.record,
        {
            "pid": os.getpid(),
            "port": port,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "endpoint": endpoint(port),
            "cores_per_node": options.cores_per_node,
            "scheduler": nodes.engine.scheduler,
            "layout": nodes.engine.layout.name,
        },
    )


if __name__ == "__main__":
    main()
