"""Terraform's own lines become typed events; the lines here are copied from a real run."""

from __future__ import annotations

import json
from typing import Any

from fleet.terraform_events import Changes, Diagnostic, ProgressEvent, Stream, TerraformError
from fleet.terraform_state import read_state


def resource(address: str) -> dict[str, Any]:
    """Return a resource as Terraform names it in a message."""
    kind, name = address.split(".")
    return {"addr": address, "resource_type": kind, "resource_name": name, "resource_key": None}


def planned(address: str, action: str, **more: Any) -> str:
    """Return the line for one planned change."""
    change = {"resource": resource(address), "action": action, **more}
    return json.dumps({"@message": "", "type": "planned_change", "change": change})


def hook(kind: str, address: str, action: str, seconds: int = 0) -> str:
    """Return the line for one step of an apply."""
    step = {"resource": resource(address), "action": action, "elapsed_seconds": seconds}
    return json.dumps({"@message": "", "type": kind, "hook": step})


def read(*lines: str) -> tuple[Stream, list[ProgressEvent]]:
    """Return the stream after the lines, and what it reported."""
    events: list[ProgressEvent] = []
    stream = Stream("vision-base", {"aws_vpc.main": "stacks/network.py:20"}, events.append)
    for line in lines:
        stream.read_line(line)
    return stream, events


def test_progress_counts_what_is_done_of_what_was_planned() -> None:
    _, events = read(
        planned("aws_vpc.main", "create"),
        planned("aws_subnet.a", "replace", reason="cannot_update"),
        hook("apply_start", "aws_subnet.a", "delete"),
        hook("apply_complete", "aws_subnet.a", "delete", 3),
        hook("apply_progress", "aws_vpc.main", "create", 10),
        hook("apply_complete", "aws_vpc.main", "create", 12),
    )
    steps = [(each.kind, each.done, each.total, each.seconds) for each in events if each.kind != "planned"]
    assert steps == [("started", 0, 3, 0), ("done", 1, 3, 3), ("working", 1, 3, 10), ("done", 2, 3, 12)]
    assert events[1].text == "aws_subnet.a: to replace"


def test_data_that_is_read_is_no_progress() -> None:
    stream, events = read(hook("apply_start", "data.x", "read"), hook("apply_complete", "data.x", "read"))
    assert (stream.done, events) == (0, [])


def test_an_import_is_named_as_one_and_counts_for_nothing_to_do() -> None:
    stream, _ = read(planned("aws_s3_bucket.state", "noop", importing={"id": "b"}))
    assert ([each.action for each in stream.planned], stream.total) == (["import"], 0)


def test_a_summary_of_a_plan_is_not_an_apply_that_finished() -> None:
    counts = {"add": 2, "change": 1, "import": 0, "remove": 3}
    line = {"@message": "Plan", "type": "change_summary", "changes": {**counts, "operation": "plan"}}
    stream, _ = read(json.dumps(line))
    assert (stream.changes, stream.finished) == (Changes(add=2, change=1, destroy=3), False)
    line["changes"] = {**counts, "operation": "apply"}
    stream, _ = read(json.dumps(line))
    assert stream.finished


def test_a_diagnostic_points_to_our_code() -> None:
    found = {"severity": "error", "summary": "creating VPC: denied", "detail": "", "address": "aws_vpc.main"}
    stream, events = read(json.dumps({"@message": "", "type": "diagnostic", "diagnostic": found}))
    assert [each.kind for each in events] == ["error"]
    error = TerraformError("vision-base", "apply", stream.errors)
    assert str(error).splitlines()[1] == "aws_vpc.main at stacks/network.py:20: creating VPC: denied"


def test_a_crash_without_json_is_shown_as_it_came() -> None:
    stream, _ = read("panic: runtime error", "")
    assert [each.summary for each in stream.failure(2)] == ["panic: runtime error"]
    silent, _ = read()
    assert silent.failure(-9) == (
        Diagnostic(severity="error", summary="it ended with signal 9 and gave no reason"),
    )


def test_a_state_gives_up_ids_and_names_and_no_secret() -> None:
    attributes = {"id": "/p", "value": "hunter2", "tags_all": {"Name": "shown"}}
    instance = {"attributes": attributes, "index_key": 0}
    text = json.dumps(
        {
            "version": 4,
            "resources": [
                {"mode": "managed", "type": "aws_ssm_parameter", "name": "p", "instances": [instance]},
                {"mode": "data", "type": "aws_ami", "name": "a", "instances": [instance]},
            ],
        }
    )
    (found,) = read_state(text)
    assert (found.address, found.id, found.name) == ("aws_ssm_parameter.p[0]", "/p", "shown")
    assert "hunter2" not in repr(found)
    assert read_state("") == []
