"""What is said of one way in: closed, recorded, not recorded by the user's own choice, or open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stacks.entry.facts import Facts, Thing, is_true

State = Literal["closed", "recorded", "unrecorded", "open"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One way in, as the stacks leave it."""

    state: State
    by: tuple[str, ...] = ()
    """What closes or narrows it: places in the stacks."""
    records: tuple[str, ...] = ()
    """Where it is recorded."""
    note: str = ""


def closed(*by: str, note: str = "") -> Verdict:
    """Return that nobody gets in this way."""
    return Verdict(state="closed", by=by, note=note)


def opened(note: str, *by: str) -> Verdict:
    """Return that the way is open and goes unseen: a mistake of the stacks."""
    return Verdict(state="open", by=by, note=note)


def in_trail(facts: Facts, events: str, *by: str, note: str = "") -> Verdict:
    """Return that the trail records these events; open where the trail does not record as it should."""
    trails = facts.things("aws_cloudtrail", account=True)
    if not trails:
        if facts.trail_wanted:
            return opened("the account's stack has no trail", *by)
        return Verdict(state="unrecorded", by=by, note="account.toml says `audit.trail = false`")
    if lacks := _lacks(facts, trails[0]):
        return opened(f"the trail lacks {', '.join(lacks)}", trails[0].at(""))
    return Verdict(state="recorded", by=by, records=(f"{trails[0].at('')}: {events}",), note=note)


def _lacks(facts: Facts, trail: Thing) -> list[str]:
    """Return what the trail would need to be believed."""
    switches = (
        "enable_logging",
        "enable_log_file_validation",
        "include_global_service_events",
        "is_multi_region_trail",
    )
    lacks = [name for name in switches if not is_true(trail.body.get(name))]
    if not trail.body.get("kms_key_id"):
        lacks.append("kms_key_id")
    bucket = facts.target(trail.body.get("s3_bucket_name", ""))
    if bucket.rpartition(".")[2] not in locked_buckets(facts):
        lacks.append("a locked bucket")
    return lacks


def locked_buckets(facts: Facts) -> dict[str, str]:
    """Return the account's buckets under Object Lock: what each is called in the stack -> in the cloud."""
    buckets = facts.things("aws_s3_bucket", account=True)
    rules = {
        facts.target(each.body["bucket"])
        for each in facts.things("aws_s3_bucket_object_lock_configuration", account=True)
        if each.body.get("rule")
    }
    return {
        each.name: str(each.body["bucket"])
        for each in buckets
        if is_true(each.body.get("object_lock_enabled")) and each.address in rules
    }
