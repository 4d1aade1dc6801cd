"""Which fleets stand idle, and which runs their heads say are: from tags alone, asks nobody (docs/idle.md).

A head can tag its own environment's nodes and no others, so what a tag says of a node is its own head's word.
A node is free since its head says so, or since its start where the head has said nothing of it; that counts
only for what was started under the policy, and where every head that lives was, too: one that is older would
not say of its nodes that they have a run.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reaper.machines import Group, Machine, Region

_POLICY = re.compile(r"(\d{1,5})\+(\d{1,5})")
_FREE = re.compile(r"free (\S{1,40})")
_RUN = re.compile(r"(warned|stopped) ([a-z0-9][a-z0-9-]{0,99}) (\S{1,40}) (.{1,256})")
WARN, REST = "warn", "rest"


@dataclass(frozen=True, kw_only=True)
class IdleFleet:
    """A fleet whose nodes have no run, and for which something is due."""

    group: Group
    region: str
    machines: tuple[str, ...]
    since: datetime.datetime
    """Since when none of them has had one."""
    grace: datetime.timedelta
    act: str
    """WARN, or REST: its group is set to zero."""

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return f"none of its {len(self.machines)} nodes has had a run since {moment_text(self.since)}"


@dataclass(frozen=True, kw_only=True)
class IdleRun:
    """What a head says of an idle run, and is not on record yet."""

    environment: str
    region: str
    run_id: str
    outcome: str
    """`warned` or `stopped`."""
    moment: str
    """UTC, ISO 8601: when it is to be stopped, or was."""
    cause: str
    word: str
    """The tag's text."""
    machines: tuple[str, ...]


def idle_fleets(found: Region, now: datetime.datetime) -> Iterator[IdleFleet]:
    """Yield the fleets that are to be warned of or set to zero."""
    for group in found.groups:
        policy = _POLICY.fullmatch(group.idle)
        if not policy or not group.fleet or not group.wanted:
            continue
        of_it = [each for each in found.machines if each.environment == group.environment]
        if not all(each.idle for each in of_it if each.head):
            continue
        nodes = [each for each in of_it if each.id in group.instances]
        since = _idle_since(nodes)
        minutes, grace = (datetime.timedelta(minutes=int(text)) for text in policy.groups())
        if since is None or now - since < minutes:
            continue
        warned_at = min((at for each in nodes if (at := _warned_at(each, since)) is not None), default=None)
        if warned_at is None or any(_warned_at(each, since) is None for each in nodes):
            act = WARN
        elif now - warned_at >= grace:
            act = REST
        else:
            continue
        ids = tuple(each.id for each in nodes)
        yield IdleFleet(group=group, region=found.name, machines=ids, since=since, grace=grace, act=act)


def _idle_since(nodes: Sequence[Machine]) -> datetime.datetime | None:
    """Return since when none of the nodes has had a run; None where one has, or it is not known."""
    since = [_free_since(each) for each in nodes]
    known = [each for each in since if each is not None]
    return max(known) if known and len(known) == len(nodes) else None


def _free_since(node: Machine) -> datetime.datetime | None:
    if not node.idle or node.launched is None:
        return None
    if not node.work:
        return node.launched
    said = _FREE.fullmatch(node.work)
    # What is no moment was never said by a head of ours: nothing is known of the node.
    return parse_moment(said.group(1)) if said else None


def _warned_at(node: Machine, since: datetime.datetime) -> datetime.datetime | None:
    """Return when it was put on record that this node has been idle since then; None while it is not."""
    told, _, at = node.warned.partition(" ")
    return parse_moment(at) if told == moment_text(since) else None


def warned_text(since: datetime.datetime, now: datetime.datetime) -> str:
    """Return what the reaper writes on the nodes of a fleet that it has put on record as idle."""
    return f"{moment_text(since)} {moment_text(now)}"


def idle_runs(found: Region) -> Iterator[IdleRun]:
    """Yield what heads say of idle runs and is not on record, once for all nodes of a run."""
    words: dict[tuple[str, str], list[str]] = {}
    for each in found.machines:
        if each.idle_run and each.idle_run != each.told:
            words.setdefault((each.environment, each.idle_run), []).append(each.id)
    for (environment, word), machines in words.items():
        said = _RUN.fullmatch(word)
        if said is None:
            print(f"{', '.join(machines)}: {word!r} is no word of a head")
            continue
        outcome, run_id, moment, cause = said.groups()
        yield IdleRun(
            environment=environment,
            region=found.name,
            run_id=run_id,
            outcome=outcome,
            moment=moment,
            cause=cause,
            word=word,
            machines=tuple(machines),
        )


def parse_moment(text: str) -> datetime.datetime | None:
    """Return an ISO 8601 moment in UTC, None where it is none."""
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def moment_text(moment: datetime.datetime) -> str:
    """Return the moment as tags have it, UTC in whole seconds."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
