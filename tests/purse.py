"""An environment whose money is counted: runs as submit and the head leave them, a budget in its file."""

from __future__ import annotations

import dataclasses
import datetime
import json
from typing import Any

from fleet.session import Session
from stacks.budget_spec import BudgetSpec
from stacks.catalog import load_catalog
from tests.run_environment import INSTANCE_TYPE, RunEnvironment

NODE_PRICE = load_catalog()[INSTANCE_TYPE].price_usd_per_hour
NOW = datetime.datetime.now(datetime.UTC)
MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def with_budget(purse: RunEnvironment, usd: float) -> Session:
    """Return the environment's session with that limit in its file."""
    spec = purse.session.spec.model_copy(update={"budget": BudgetSpec(usd_per_month=usd)})
    return dataclasses.replace(purse.session, spec=spec)


def text_of(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def put_run(
    purse: RunEnvironment,
    run_id: str,
    submitted: datetime.datetime,
    events: list[tuple[str, Any]],
    **more: Any,
) -> None:
    """Put a run into the bucket as submit and the head do; `events` are names with their times."""
    run = {
        "run_id": run_id, "recipe": "digits", "script": "", "fleet": "gpu", "nodes": 2, "procs_per_node": 1,
        "max_minutes": 120, "price_usd_per_hour": NODE_PRICE, "fsx_gib": 0, "fsx_usd_per_gib_hour": None,
        "actor": "tests", "submitted": text_of(submitted), "array": None, **more,
    }  # fmt: skip
    lines = [{"event": name, "time": text_of(when), "detail": {"nodes": []}} for name, when in events]
    purse.store.put(run_id, "run.json", run)
    purse.store.s3.put_object(
        Bucket=purse.store.bucket,
        Key=f"runs/{run_id}/events.jsonl",
        Body="".join(json.dumps(line) + "\n" for line in lines).encode(),
    )


def put_receipt(
    purse: RunEnvironment, run_id: str, claimed: datetime.datetime, ended: datetime.datetime, **more: Any
) -> float:
    """Put the receipt of a run on two nodes; return what it says that it cost."""
    seconds = 2 * (ended - claimed).total_seconds()
    usd = round(seconds * NODE_PRICE / 3600, 4)
    receipt = {
        "run_id": run_id,
        "outcome": "SUCCEEDED",
        "phases": {"submitted": text_of(claimed), "claimed": text_of(claimed), "ended": text_of(ended)},
        "nodes": [{"rank": rank, "instance_id": f"i-gone{rank}"} for rank in range(2)],
        "cost": {"node_seconds": seconds, "usd_per_node_hour": NODE_PRICE, "usd": usd},
        **more,
    }
    purse.store.put(run_id, "receipt.json", receipt)
    return usd


def forget_runs(purse: RunEnvironment) -> None:
    """Take away all runs that were put."""
    for key in purse.store.keys("runs/"):
        purse.store.s3.delete_object(Bucket=purse.store.bucket, Key=key)
