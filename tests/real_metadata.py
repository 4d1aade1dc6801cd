"""Who on a machine of the cloud's kind reaches its metadata service, and what runs get in its place.

Run by root in namespaces of its own, as `tests/real_cluster.py` is:

    unshare --mount --net --pid --fork --mount-proc --kill-child python -m tests.real_metadata

The rules are the node bundle's, the kernel and the users are real, and whoever asks does so by boto3. Beside
them stand a metadata service that gives away a role, at EC2's own addresses, and an embedded STS. It prints
what it found, as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from node.agent.metadata import Metadata
from node.aws import client
from node.cluster import users
from node.cluster.facts import TeamFacts
from node.cluster.machine import Machine, read_machine
from node.metadata import rule, server, tokens
from node.metadata.borrow import borrow
from node.metadata.roles import Lender, Teams
from stacks.bundle import rendered_members
from tests.cluster_facts import cluster_facts
from tests.emptied_system import empty_the_system, run

REGION = "us-east-1"
TEAMS = {
    "blue": TeamFacts(1, "ff-blue", 20_001, "real-run-us-east-1"),
    "green": TeamFacts(1, "ff-green", 20_002, "real-run-green-us-east-1"),
}
RUNS = {"blue": "20261122-120000-abcde", "green": "green-20261122-120000-xyzab"}
JOBS = {"blue": 7, "green": 8}
NODE_KEY = "ASIAOFTHENODESROLE00"
NOTICE = '{"action": "terminate", "time": "2026-11-22T12:00:00Z"}'
WAYS: dict[str, tuple[int, int, str, str]] = {
    "IPv4": (socket.AF_INET, 0, "10.77.0.11", "169.254.169.254"),
    "IPv6": (socket.AF_INET6, 0, "fd00::11", "fd00:ec2::254"),
    "MPTCP": (socket.AF_INET, 262, "10.77.0.11", "169.254.169.254"),
}
"""Of a socket to the metadata service: family, protocol, the machine's own address, as whoever asks a service
elsewhere has it, and the service's. 262 is Linux's IPPROTO_MPTCP."""


class Imds(BaseHTTPRequestHandler):
    """EC2's metadata service of a spot instance with a role, as far as anybody asks."""

    def do_PUT(self) -> None:
        self._answer(200, "token")

    def do_GET(self) -> None:
        credentials = "/latest/meta-data/iam/security-credentials/"
        told = {
            credentials: "real-node",
            f"{credentials}real-node": json.dumps(
                {
                    "Code": "Success", "AccessKeyId": NODE_KEY, "SecretAccessKey": "s", "Token": "t",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            ),
            "/latest/meta-data/spot/instance-action": NOTICE,
        }  # fmt: skip
        self._answer(*((200, told[self.path]) if self.path in told else (404, "")))

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


class Imds6(ThreadingHTTPServer):
    """The same by IPv6."""

    address_family = socket.AF_INET6


def serve_the_cloud() -> None:
    """Have EC2's addresses answer on this machine, and an STS; its keys are refused nothing."""
    from moto.server import ThreadedMotoServer

    run("ip", "-6", "address", "add", "fd00::11/64", "dev", "eth0", "nodad")
    run("ip", "address", "add", "169.254.169.254/32", "dev", "lo")
    run("ip", "-6", "address", "add", "fd00:ec2::254/128", "dev", "lo", "nodad")
    for each in (
        ThreadingHTTPServer(("169.254.169.254", 80), Imds),
        Imds6(("fd00:ec2::254", 80), Imds),
    ):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=5055, verbose=False)
    cloud.start()
    os.environ["AWS_ENDPOINT_URL"] = "http://127.0.0.1:5055"
    os.environ["AWS_DEFAULT_REGION"] = REGION


def as_user(name: str, act: Callable[[], Any]) -> Any:
    """Return what `act` returns in a process of that user's; what it raises by its name."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        found: Any = "nothing"
        try:
            entry = pwd.getpwnam(name)
            os.setgroups([])
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
            found = act()
        except BaseException as error:
            found = type(error).__name__
        finally:
            os.write(writing, json.dumps(found).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(process, 0)
    return answer


def reach(way: str) -> str:
    """Return how an attempt to connect to the metadata service ends."""
    family, protocol, own, address = WAYS[way]
    try:
        with socket.socket(family, socket.SOCK_STREAM, protocol) as made:
            made.settimeout(10)
            made.bind((own, 0))
            made.connect((address, 80))
    except ConnectionRefusedError:
        return "refused"
    return "connected"


def who_am_i() -> str:
    """Return whom the cloud takes this process for, by boto3's own search for credentials."""
    from botocore.session import Session

    made = Session()
    found = made.get_credentials()
    if found is None:
        return "nobody"
    if found.get_frozen_credentials().access_key == NODE_KEY:
        return "the node"
    return str(made.create_client("sts", region_name=REGION).get_caller_identity()["Arn"])


def as_run(team: str) -> str:
    """Return whom the cloud takes a run of the team for."""
    borrow(RUNS[team], JOBS[team])
    return who_am_i()


def pretend(token: Path, job: int = JOBS["green"], run_id: str = RUNS["green"]) -> str:
    """Return whom the cloud takes a process for that says so of itself."""
    os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://127.0.0.1:{server.PORT}/runs/{job}/{run_id}"
    os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(token)
    return who_am_i()


def start_service(machine: Machine) -> None:
    """Start what runs get in place of the metadata service, with a token for a job of each team."""
    facts = dataclasses.replace(cluster_facts(), default_team="blue", teams=TEAMS)
    teams = Teams(lambda: facts, one_user=False)
    service = server.Service(machine, teams, Lender(client("sts", REGION)), Metadata())
    threading.Thread(target=server.serve(service).serve_forever, daemon=True).start()
    for team, job in JOBS.items():
        tokens.grant(machine, job, TEAMS[team].uid)


def find_rule(machine: Machine) -> dict[str, Any]:
    """Return who reaches the metadata service without the rules, with a node's twice, and with a head's."""
    slurm, team = "slurm", "ff-blue"
    before = {"answers": rule.answers(20_001), **{way: as_user(team, lambda: reach(way)) for way in WAYS}}  # noqa: B023
    rule.close(machine, "head")
    head = {user: as_user(user, lambda: reach("IPv4")) for user in ("root", slurm, team, "nobody")}
    for _ in range(2):
        rule.close(machine, "node")
    return {
        "before": before,
        "head": head,
        "node": {
            user: {way: as_user(user, lambda: reach(way)) for way in WAYS}  # noqa: B023
            for user in ("root", slurm, team, "nobody")
        },
        "answers": rule.answers(20_001),
    }


def find_roles(machine: Machine) -> dict[str, Any]:
    """Return whom the cloud takes teams for, in what they are meant to do and in what they may try."""
    own, others = (tokens.token_path(machine, JOBS[team]) for team in ("green", "blue"))
    kept = Path("/tmp/kept")
    who_am_i()  # loads what a process of a team's cannot read
    found = {
        "root": as_user("root", who_am_i),
        "without": as_user("ff-green", who_am_i),
        **{team: as_user(TEAMS[team].user, lambda: as_run(team)) for team in TEAMS},  # noqa: B023
        "others token": as_user("ff-green", lambda: pretend(others)),
        "others job": as_user("ff-green", lambda: pretend(own, job=JOBS["blue"])),
        "others run": as_user("ff-green", lambda: pretend(own, run_id=RUNS["blue"])),
        "notice": as_user("ff-green", lambda: ask_machine("spot/instance-action")),
        "role of the node": as_user("ff-green", lambda: ask_machine("iam/security-credentials/real-node")),
        "in its place": as_user("ff-green", lambda: listen(server.PORT)),
        "kept": as_user("ff-green", lambda: kept.write_text(own.read_text()) and pretend(kept)),
    }
    tokens.revoke(machine, JOBS["green"])
    return {**found, "ended": as_user("ff-green", lambda: pretend(kept))}


def ask_machine(path: str) -> str | None:
    """Return what a run is told of the machine."""
    environment: dict[str, str] = dict(os.environ)
    borrow(RUNS["green"], JOBS["green"], environment)
    return Metadata(environment).get(path)


def listen(port: int) -> str:
    """Try to take the service's place."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", port))
    return "bound"


def main() -> None:
    """Make the machine, and print what is so on it."""
    for name in [each for each in os.environ if each.startswith(("FLEETFORM_", "SLURM_", "AWS_"))]:
        del os.environ[name]
    empty_the_system()
    machine = read_machine()
    for name, text, _ in rendered_members():
        if name.startswith("rules/"):
            file = machine.bundle / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
    users.ensure_users(machine, TEAMS)
    serve_the_cloud()
    found = find_rule(machine)
    start_service(machine)
    json.dump({**found, "roles": find_roles(machine)}, sys.stdout)


if __name__ == "__main__":
    main()
