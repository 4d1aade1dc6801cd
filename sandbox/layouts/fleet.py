"""First process of the namespaces that hold an embedded cloud's machines: `python -m sandbox.layouts.fleet`.

Arguments: descriptor of a socket to the server, the program that becomes a machine's first process, the file
of host names, the gateway's address, the cloud's port. It makes a bridge and a socket that listens on it,
hands that socket over, then starts and kills machines as it is told, one JSON object a line. When the
server's end of the socket closes, it ends; as it is the first process of its namespace, the kernel ends
everything else (standard library).
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN = ("--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child")
"""What a machine has of its own, as unshare is told it; so has the set of namespaces around them all."""
_BRIDGE, _BRIDGE_ADDRESS = "br0", "02:00:00:00:00:01"
_PREFIX = 16
"""Bits of the network's part of an address."""
_PATIENCE_SECONDS = 20.0
"""How long one step of a machine's start may take; the server waits for an answer three times as long."""


class Fleet:
    """The machines by their names."""

    def __init__(self, init: str, hosts: Path, gateway: str) -> None:
        self._init, self._hosts, self._gateway = init, hosts, gateway
        self._machines: dict[str, subprocess.Popen[bytes]] = {}
        self._links = 0
        hosts.write_text(f"127.0.0.1 localhost\n{gateway} cloud\n")
        hosts.with_name("resolv.conf").write_text("")

    def prepare(self) -> None:
        """Make the bridge."""
        _ip(
            "link set lo up",
            f"link add {_BRIDGE} type bridge",
            # Else it has the lowest address of its links: another after some have gone, which nobody knows.
            f"link set {_BRIDGE} address {_BRIDGE_ADDRESS}",
            f"addr add {self._gateway}/{_PREFIX} dev {_BRIDGE}",
            f"link set {_BRIDGE} up",
        )

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked and say how it went."""
        try:
            if request["act"] == "start":
                return {"pid": self._start(request["name"], request["address"], request["hostname"])}
            self._kill(request["name"])
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            detail = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
            return {"error": f"{request['act']} of {request['name']}: {str(detail).strip()}"}
        return {}

    def _start(self, name: str, address: str, hostname: str) -> int:
        """Start a machine; return the number of the process whose namespaces are the machine's."""
        self._kill(name)
        with self._hosts.open("a") as hosts:
            hosts.write(f"{address} {hostname} {hostname}.ec2.internal\n")
        self._links += 1
        resolver = str(self._hosts.with_name("resolv.conf"))
        own = [hostname, f"{address}/{_PREFIX}", self._gateway, str(self._hosts), resolver]
        machine = subprocess.Popen(
            ["unshare", *OWN, "sh", self._init, *own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._machines[name] = machine
        assert machine.stdin is not None and machine.stdout is not None
        try:
            _expect(machine, b"up\n")  # from here on its namespaces exist
            _ip(
                f"link add m{self._links} type veth peer name eth0 netns {machine.pid}",
                f"link set m{self._links} master {_BRIDGE} up",
            )
            machine.stdin.write(b"go\n")
            machine.stdin.flush()
            _expect(machine, b"ready\n")
        except BaseException:
            self._kill(name)
            raise
        machine.stdin.close()
        machine.stdout.close()
        return machine.pid

    def _kill(self, name: str) -> None:
        """Kill a machine's first process, and so all of it; returns when it is gone."""
        machine = self._machines.pop(name, None)
        if machine is not None:
            machine.kill()  # its child, the first process, is killed with it
            machine.wait()


def _expect(machine: subprocess.Popen[bytes], said: bytes) -> None:
    assert machine.stdout is not None
    if not select.select([machine.stdout], [], [], _PATIENCE_SECONDS)[0]:
        raise RuntimeError(f"its first process said nothing for {_PATIENCE_SECONDS:g} s")
    found = machine.stdout.readline()
    if found != said:
        raise RuntimeError(f"its first process ended ({machine.wait()}); the server's log says why")


def _ip(*commands: str) -> None:
    """Run several commands of `ip` in one process."""
    text = "".join(f"{command}\n" for command in commands)
    subprocess.run(
        ["ip", "-batch", "-"],
        input=text,
        text=True,
        capture_output=True,
        check=True,
        timeout=_PATIENCE_SECONDS,
    )


def main(arguments: list[str]) -> None:
    """Serve until the server's end of the socket is closed."""
    handle, init, hosts, gateway, port = arguments
    control = socket.socket(fileno=int(handle))
    fleet = Fleet(init, Path(hosts), gateway)
    try:
        fleet.prepare()
        door = socket.create_server((gateway, int(port)), backlog=512)
    except (OSError, subprocess.CalledProcessError) as error:
        control.sendall(str(getattr(error, "stderr", "") or error).encode())
        os._exit(1)
    socket.send_fds(control, [b"ready"], [door.fileno()])
    door.close()
    with control.makefile("rb") as requests:
        for line in requests:
            request = json.loads(line)
            answer = {**fleet.answer(request), "number": request["number"]}
            control.sendall(json.dumps(answer).encode() + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
