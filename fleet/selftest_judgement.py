"""What counts as working in a selftest: sums that are as fast as the network, and every file system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.outputs import FleetOutputs

EFA_SHARE, TCP_SHARE = 0.5, 0.1
"""Of the type's network bandwidth that the sums have to reach; what a run's nodes are held to before each
run as well (node/health/prolog.py says where the numbers come from, a test holds the two together)."""
LEAST_MB_S = 10.0
"""MB (1e6 bytes) a second of a large file, written or read: a tenth of the slowest that AWS sells for these
machines (gp3's 125 MB/s), so whatever is slower is not the file system that was declared."""
SHARED, FAST = "shared (EFS)", "fast (FSx)"
"""As trainer/selftest.py calls them."""


def judge_all_reduce(found: Mapping[str, Any], fleet: FleetOutputs, *, emulated: bool) -> tuple[bool, str]:
    """Return whether the sums over the nodes were as fast as the type's network lets expect, and the words.

    `found` is trainer/allreduce.py's answer. One process, one node, an unknown type and emulated machines
    are measured and not judged.
    """
    said = f"{found['backend']}, {found['processes']} processes on {found['nodes']} nodes"
    if found["processes"] < 2:
        return True, f"{said}: nothing to compare, one process sums alone"
    known = load_catalog().get(fleet.instance_type)
    said += f": {found['busbw_gbs']:.2f} GB/s of bus bandwidth"
    if known is None or found["nodes"] < 2 or not known.network_gbps:
        return True, said
    share, least = found["busbw_gbs"] * 8 / known.network_gbps, EFA_SHARE if fleet.efa else TCP_SHARE
    said += f", {100 * share:.0f}% of the {known.network_gbps:g} Gbit/s of a {known.name}"
    if emulated:
        return True, f"{said} (not judged: the machines are emulated)"
    if share >= least:
        return True, said
    over = "EFA" if fleet.efa else "TCP"
    return False, f"{said}, where {100 * least:.0f}% are the least over {over}"


def judge_files(
    rows: Sequence[Mapping[str, Any]], nodes: int, spec: EnvironmentSpec, *, emulated: bool
) -> tuple[bool, str]:
    """Return whether every node has every place that it should, none far too slow, and the words.

    Each row is a place of a node (`node`, and the fields of trainer/selftest.py's FileSpeed). The speed of
    emulated machines is not judged.
    """
    wanted = {SHARED} if spec.efs.enabled else set()
    wanted |= {FAST} if spec.fsx.kind != "none" else set()
    wrong = []
    for node in range(nodes):
        has = {row["place"] for row in rows if row["node"] == node}
        if not has:
            wrong.append(f"node {node} has not told")
            continue
        wrong += [f"node {node} has no {place}" for place in sorted(wanted - has)]
    if wrong:
        return False, "; ".join(wrong)
    slowest = min(rows, key=lambda row: float(row["write_mb_s"]))
    slow = [row for row in rows if min(row["write_mb_s"], row["read_mb_s"]) < LEAST_MB_S]
    said = f"slowest to write: {slowest['place']} of node {slowest['node']}, {slowest['write_mb_s']:.0f} MB/s"
    if emulated or not slow:
        return True, said
    told = ", ".join(
        f"{row['place']} of node {row['node']} ({row['write_mb_s']:.1f} written, {row['read_mb_s']:.1f} read)"
        for row in slow
    )
    return False, f"below {LEAST_MB_S:g} MB/s: {told}"
