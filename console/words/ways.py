"""How somebody came into a machine, and how much is recorded of it, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.words.reader import Reader
from fleet.entry_kinds import Completeness

_TUNNEL = re.compile(r"opened a tunnel by Session Manager \((.+)\)")
_COMMAND = re.compile(r"sent the command (.+)")
_FOREIGN = re.compile(r"entered by Session Manager with (.+), which is not fleetform's")
_REACH = re.compile(r"CloudTrail's signed digests reach to (.+)")
_USED = re.compile(r"used its role from (.+), calls: (\d+)")
_CONNECTED = re.compile(r"connected to its port (\d+) \((.+)\) from (.+)")
_ENDLESS = re.compile(r"no end is known of the session (.+)")
_UNSURE = re.compile(r"its role was used from (.+): whether its network leaves there cannot be told")


def way_name(reader: Reader, what: str) -> str:
    """Return what a row of a timeline says that somebody did (fleet/entry_kinds.py)."""
    _ = reader.gettext
    if found := _TUNNEL.fullmatch(what):
        return _("opened a tunnel by Session Manager ({document})").format(document=found[1])
    if found := _FOREIGN.fullmatch(what):
        text = _("entered by Session Manager with {document}, which is not fleetform's")
        return text.format(document=found[1])
    if found := _COMMAND.fullmatch(what):
        return _("sent the command {document}").format(document=found[1])
    if found := _USED.fullmatch(what):
        return _("used its role from {address}, calls: {count}").format(address=found[1], count=found[2])
    if found := _CONNECTED.fullmatch(what):
        text = _("connected to its port {port} ({service}) from {address}")
        return text.format(port=found[1], service=found[2], address=found[3])
    return {**_entries(reader), **_changes(reader), **_network(reader)}.get(what, what)


def _entries(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "entered by Session Manager": _("entered by Session Manager"),
        "ran an automation on it": _("ran an automation on it"),
        "had State Manager run a document on it": _("had State Manager run a document on it"),
        "put it into a maintenance window": _("put it into a maintenance window"),
        "asked to enter": _("asked to enter"),
        "put a key for SSH on it for a minute": _("put a key for SSH on it for a minute"),
        "entered by the serial console": _("entered by the serial console"),
        "opened a tunnel by an Instance Connect Endpoint": _(
            "opened a tunnel by an Instance Connect Endpoint"
        ),
        "started it, with its first script": _("started it, with its first script"),
        "started it with a key pair, and its first script": _(
            "started it with a key pair, and its first script"
        ),
        "changed its first script": _("changed its first script"),
        "read its console": _("read its console"),
        "took a picture of its console": _("took a picture of its console"),
        "read its password": _("read its password"),
    }


def _changes(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "gave it a role": _("gave it a role"),
        "gave it another role": _("gave it another role"),
        "changed its metadata service": _("changed its metadata service"),
        "made an image of its disks": _("made an image of its disks"),
        "made a snapshot of its disk": _("made a snapshot of its disk"),
        "made snapshots of its disks": _("made snapshots of its disks"),
        "attached a disk to it, or its disk elsewhere": _("attached a disk to it, or its disk elsewhere"),
        "took a disk off it": _("took a disk off it"),
        "replaced its root disk": _("replaced its root disk"),
        "started it again": _("started it again"),
        "stopped it": _("stopped it"),
        "started it anew": _("started it anew"),
        "ended it": _("ended it"),
    }


def _network(reader: Reader) -> Mapping[str, str]:
    _ = reader.gettext
    return {
        "gave it a public address": _("gave it a public address"),
        "gave it other security groups": _("gave it other security groups"),
        "put it behind a load balancer": _("put it behind a load balancer"),
        "opened a port of its security group": _("opened a port of its security group"),
        "changed a rule of its security group": _("changed a rule of its security group"),
        "changed its network interface": _("changed its network interface"),
        "made an Instance Connect Endpoint beside it": _("made an Instance Connect Endpoint beside it"),
        "joined its network to another": _("joined its network to another"),
        "switched the serial console on everywhere": _("switched the serial console on everywhere"),
    }


def completeness_name(reader: Reader, found: Completeness) -> str:
    """Return how much is recorded of what was done."""
    _ = reader.gettext
    names: Mapping[Completeness, str] = {
        "recorded": _("content recorded"),
        "recording to come": _("recording comes at the end"),
        "recording missing": _("recording missing"),
        "tunnel only": _("tunnel only"),
        "not recorded": _("not recorded"),
        "command": _("command, parameters hidden"),
        "first script": _("first script"),
        "copy": _("its disk was copied"),
        "calls recorded": _("its calls are recorded"),
        "looked at": _("looked at"),
        "no entry": _("no entry"),
        "refused": _("not let in"),
    }
    return names[found]


def gap_name(reader: Reader, gap: str) -> tuple[str, str]:
    """Return what a timeline does not cover, and the language that it is in, "" for the reader's."""
    _ = reader.gettext
    if found := _REACH.fullmatch(gap):
        return _("CloudTrail's signed digests reach to {time}").format(time=found[1]), ""
    if found := _ENDLESS.fullmatch(gap):
        return _("no end is known of the session {session}").format(session=found[1]), ""
    if found := _UNSURE.fullmatch(gap):
        text = _("its role was used from {address}: whether its network leaves there cannot be told")
        return text.format(address=found[1]), ""
    names = {
        "flow logs: whether traffic reached the machine that belongs to none of these rows": _(
            "flow logs: whether traffic reached the machine that belongs to none of these rows"
        ),
        "flow logs: traffic on other ports than those of SSH and remote desktop": _(
            "flow logs: traffic on other ports than those of SSH and remote desktop"
        ),
        "EC2 has forgotten the machine: commands by tags, its disks and its address cannot be told": _(
            "EC2 has forgotten the machine: commands by tags, its disks and its address cannot be told"
        ),
        "CloudTrail's signed digest of this time has not come yet": _(
            "CloudTrail's signed digest of this time has not come yet"
        ),
        "there is no file of the trail's of this time": _("there is no file of the trail's of this time"),
    }
    return (names[gap], "") if gap in names else (gap, "en")
