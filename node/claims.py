"""Which run holds which node: all nodes of a gang or none, by conditional writes alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from node.events import is_over
from node.layout import claim_key, utc_now
from node.store import Bucket


def claim_gang(bucket: Bucket, run_id: str, instance_ids: Sequence[str], count: int) -> list[str] | None:
    """Claim `count` of the nodes for the run and return their ids; None, with nothing held, if too few are.

    Nodes are tried in sorted order, so that two runs that want the same nodes meet at the first of them,
    where one of the two stops. A claim whose run is over is void and is taken over.
    """
    claimed: list[str] = []
    try:
        for instance_id in sorted(instance_ids):
            if len(claimed) == count:
                break
            if _claim(bucket, run_id, instance_id):
                claimed.append(instance_id)
    except BaseException:
        free(bucket, run_id, claimed)
        raise
    if len(claimed) == count:
        return claimed
    free(bucket, run_id, claimed)
    return None


def _claim(bucket: Bucket, run_id: str, instance_id: str) -> bool:
    body = json.dumps({"run_id": run_id, "time": utc_now()}).encode()
    key = claim_key(instance_id)
    if bucket.put_new(key, body):
        return True
    held = bucket.read(key)
    if held is None:  # freed between the two calls: the next round finds it free
        return False
    holder = json.loads(held.body)["run_id"]
    if holder == run_id:
        return True
    return is_over(bucket, holder) and bucket.replace(key, body, held.etag) is not None


def free(bucket: Bucket, run_id: str, instance_ids: Sequence[str]) -> None:
    """Give up this run's claims on the nodes; claims of other runs stay."""
    for instance_id in instance_ids:
        held = bucket.get(claim_key(instance_id))
        if held is not None and json.loads(held)["run_id"] == run_id:
            bucket.delete(claim_key(instance_id))


def holders(bucket: Bucket, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return the run that holds each of the nodes that is held."""
    found = {}
    for instance_id in instance_ids:
        held = bucket.get(claim_key(instance_id))
        if held is not None:
            found[instance_id] = str(json.loads(held)["run_id"])
    return found
