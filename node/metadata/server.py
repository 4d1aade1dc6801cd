"""What runs on this machine get in place of its metadata service, on the machine's own loopback address.

`fleetform-node metadata.server`. A run that shows its token gets credentials of its team's role. Everybody is
told what is no secret: which instance this is, and that EC2 takes it back. All else is not found.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from node.agent.metadata import Metadata
from node.aws import client, failures
from node.cluster.facts import NoClusterError, read_facts
from node.cluster.machine import Machine, read_machine
from node.config import read_node_config
from node.metadata import tokens
from node.metadata.roles import Lender, RefusedError, Teams
from node.store import Bucket

PORT = 417
"""On a real machine: one that only root can listen on, so that nobody else is shown tokens while this starts
again. Below those that clients of NFS take for themselves (665 to 1023)."""
_HOST = "127.0.0.1"
_RUN = re.compile(r"/runs/([0-9]{1,12})/([a-z0-9][a-z0-9-]{0,79})")
_TOKEN_PATH, _DATA_PATH = "/latest/api/token", "/latest/meta-data/"
_TOLD = frozenset(
    {
        "ami-id",
        "events/recommendations/rebalance",
        "instance-id",
        "instance-life-cycle",
        "instance-type",
        "local-ipv4",
        "placement/availability-zone",
        "placement/region",
        "spot/instance-action",
        "spot/termination-time",
    }
)
"""What everybody may know of the machine's metadata."""
_ANY_TOKEN = "open"  # noqa: S105 - what is told is no secret
_REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Service:
    """All that the answers are made of."""

    machine: Machine
    teams: Teams
    lender: Lender
    metadata: Metadata

    def credentials(self, job_id: int, run_id: str, token: str) -> tuple[int, str]:
        """Return the HTTP status and the text for a run that asks for its team's role."""
        uid = tokens.owner(self.machine, job_id, token)
        if uid is None:
            return 401, "this is not the token of a job that runs here"
        try:
            team = self.teams.find(uid, run_id)
            if not team.run_role:
                raise RefusedError("the cluster was described by an older version: fleetform up")
            return 200, json.dumps(self.lender.lend(team.run_role, run_id).to_json())
        except RefusedError as error:
            return 403, str(error)
        except (NoClusterError, *failures()) as error:  # type: ignore[misc]
            return 503, f"the role of the run's team can't be had: {error}"

    def data(self, path: str) -> tuple[int, str]:
        """Return the HTTP status and the text for whoever asks about the machine."""
        if path not in _TOLD:
            return 404, "not told to runs"
        try:
            found = self.metadata.get(path)
        except OSError as error:
            return 503, str(error)
        return (404, "there is none") if found is None else (200, found)


class Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = _REQUEST_SECONDS

    def __init__(self, service: Service, *arguments: object) -> None:
        self._service = service
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_PUT(self) -> None:
        """Answer as the machine's service does to who asks for a token, of which there is no need here."""
        self._answer(*((200, _ANY_TOKEN) if self.path == _TOKEN_PATH else (404, "not found")))

    def do_GET(self) -> None:
        """Answer a run, or whoever asks about the machine."""
        if run := _RUN.fullmatch(self.path):
            token = self.headers.get("Authorization", "")
            status, text = self._service.credentials(int(run[1]), run[2], token)
            if status != 200:
                print(f"job {run[1]} gets no role for {run[2]}: {text}", file=sys.stderr, flush=True)
            self._answer(status, text)
        elif self.path.startswith(_DATA_PATH):
            self._answer(*self._service.data(self.path.removeprefix(_DATA_PATH)))
        else:
            self._answer(404, "not found")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Say nothing of requests: what is refused says so by itself."""


class Server(ThreadingHTTPServer):
    """Takes what all processes of a run ask at once."""

    request_queue_size = 128


def serve(service: Service) -> Server:
    """Listen, and say where; the caller lets it serve."""
    server = Server((_HOST, 0 if service.machine.emulated else PORT), partial(Handler, service))
    tokens.tell_address(service.machine, f"{_HOST}:{server.server_port}")
    return server


def _is_ours_alone(port: int) -> bool:
    """Return whether only root can listen on that port."""
    return port < int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())


def main() -> int:
    """Serve for as long as the machine lives; exit code 1 where any user could take the service's place."""
    # The global endpoint is in another region, where machines of a closed network do not get.
    os.environ.setdefault("AWS_STS_REGIONAL_ENDPOINTS", "regional")
    config, machine = read_node_config(), read_machine()
    if not machine.emulated and not _is_ours_alone(PORT):
        print(f"net.ipv4.ip_unprivileged_port_start lets any user listen on port {PORT}", file=sys.stderr)
        return 1
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    teams = Teams(lambda: read_facts(bucket), one_user=machine.emulated)
    serve(Service(machine, teams, Lender(client("sts", config.region)), Metadata())).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
