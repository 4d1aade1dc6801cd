"""Click and command are one: what a page says as a command is a command, with the same meaning."""

from __future__ import annotations

import datetime
import importlib
from pathlib import Path

import click
import pytest

from fleet import commands
from scripts.cli import VERBS

WORDS = {
    "show_environments": (commands.show_environments(), {"environments": ()}),
    "show_runs": (commands.show_runs("blue"), {"environment": "blue"}),
    "show_runs some": (
        commands.show_runs("blue", states=["FAILED"], active=True, person="kim", before="r-1", limit=50),
        {"states": ("FAILED",), "active": True, "person": "kim", "before": "r-1", "limit": 50},
    ),
    "compare_runs": (
        commands.compare_runs("blue", ["r-1", "r-2"]),
        {"environment": "blue", "runs": ("r-1", "r-2")},
    ),
    "show_run": (commands.show_run("blue", "20261123-1"), {"environment": "blue", "run": "20261123-1"}),
    "build": (commands.build("blue"), {"environment": "blue", "yes": False}),
    "tear_down": (
        commands.tear_down("blue", base=False),
        {"environment": "blue", "base": False, "anyway": None},
    ),
    "tear_down all": (
        commands.tear_down("blue", base=True, anyway="it's over"),
        {"environment": "blue", "base": True, "anyway": "it's over"},
    ),
    "take_model": (commands.take_model("blue", "r-1"), {"environment": "blue", "run": "r-1", "to": None}),
    "try_model": (commands.try_model("blue", "r-1"), {"run": "r-1", "describe": True, "texts": ()}),
    "try_model text": (
        commands.try_model("blue", "r-1", text="it's"),
        {"describe": False, "texts": ("it's",)},
    ),
    "read_record": (commands.read_record(), {"target": "", "last": None}),
    "read_record some": (
        commands.read_record(target="blue", event="run.submit", person="ann", last=50),
        {"target": "blue", "event": "run.submit", "person": "ann", "last": 50},
    ),
    "read_entry": (commands.read_entry(7), {"number": 7}),
    "show_entered": (
        commands.show_entered("blue", "i-0123456789abcdef0"),
        {"environment": "blue", "instance": "i-0123456789abcdef0", "since": None},
    ),
    "enter_machine": (
        commands.enter_machine("blue", "i-0123456789abcdef0"),
        {"environment": "blue", "node": "i-0123456789abcdef0", "reason": "WHAT FOR", "typed": ""},
    ),
    "verify_ledger": (commands.verify_ledger(), {"head": None, "folder": None}),
    "verify_trail": (
        commands.verify_trail("2026-11-01"),
        {"since": datetime.datetime(2026, 11, 1), "until": None},
    ),
    "export_pack": (
        commands.export_pack("blue", "2026-11-01", "2026-11-02"),
        {"environment": "blue", "file": Path("evidence.zip"), "until": datetime.datetime(2026, 11, 2)},
    ),
    "export_pack all": (commands.export_pack("", "2026-11-01", "2026-11-02"), {"environment": None}),
    "check_data": (
        commands.check_data("pets", "pictures", ("height=32",)),
        {"path": "pets", "kind": "pictures", "check": True, "settings": ("height=32",)},
    ),
    "declare": (commands.declare("blue"), {"name": "blue", "team": "TEAM", "owner": "YOU@EXAMPLE.COM"}),
    "declare_begun": (
        commands.declare_begun("blue", "red", "kim@example.com", "team"),
        {"name": "blue", "team": "red", "owner": "kim@example.com", "starter": "team"},
    ),
    "show_known": (commands.show_known("digits"), {"path": "digits", "kind": None, "check": False}),
    "submit_recipe": (
        commands.submit_recipe("blue", "digits", ("samples=5",), nodes=2, fleet="gpu", team="red"),
        {
            "environment": "blue",
            "recipe": "digits",
            "words": ("samples=5",),
            "nodes": 2,
            "fleet": "gpu",
            "team": "red",
            "max_minutes": 1440,
        },
    ),
    "sweep": (commands.sweep(), {"environments": (), "delete": False}),
    "sweep delete": (
        commands.sweep("blue", delete=True, data=True, past_lease=True),
        {"environments": ("blue",), "delete": True, "data": True, "past_lease": True},
    ),
    "stop_run": (commands.stop_run("blue", "r-1"), {"environment": "blue", "run": "r-1"}),
    "resume_run": (commands.resume_run("blue", "r-1"), {"environment": "blue", "resume": "r-1"}),
    "show_lease": (commands.show_lease("blue"), {"environment": "blue"}),
    "extend_lease": (
        commands.extend_lease("blue", datetime.date(2027, 1, 15), "it's late"),
        {
            "environment": "blue",
            "until": datetime.datetime(2027, 1, 15),
            "reason": "it's late",
            "yes": True,
        },
    ),
    "show_nodes": (commands.show_nodes("blue"), {"environment": "blue", "once": True}),
    "show_budget": (commands.show_budget("blue"), {"environment": "blue"}),
    "show_cost": (
        commands.show_cost("blue", since="2026-11-01", until="2026-11-22", by="run"),
        {"environment": "blue", "since": "2026-11-01", "until": "2026-11-22", "by": "run"},
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_are_understood_by_the_command_as_they_are_meant(name: str) -> None:
    words, meant = WORDS[name]
    command: click.Command = importlib.import_module(VERBS[words[0]][0]).command
    rest = list(words[1:])
    context = command.make_context(words[0], rest, resilient_parsing=False)
    while isinstance(context.command, click.Group):
        _, found, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None
        context = found.make_context(found.name, rest, parent=context)
    assert {key: context.params.get(key) for key in meant} == meant
