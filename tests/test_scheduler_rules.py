"""The table `scheduler`: what a file can ask of its queue, and what is refused or warned of."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from stacks.environment import load_environment
from stacks.guardrails import check_directory
from stacks.problems import Problem, UserError
from stacks.scheduler_spec import FIRST_UID, UIDS, own_team, team_uid, team_user
from tests.spec_files import environment_text, write_folder

TODAY = datetime.date(2026, 11, 1)
SOMEBODY = "arn:aws:iam::123456789012:role/ann"
GROWS = environment_text().replace("nodes = 2\n", "nodes = 0\n")


def checked(root: Path, text: str) -> tuple[list[Problem], list[Problem]]:
    """Return errors and warnings of one environment's file."""
    return check_directory(write_folder(root, vision=text), today=TODAY)


def test_a_file_that_says_nothing_gets_slurm_with_one_team(tmp_path: Path) -> None:
    assert checked(tmp_path, environment_text()) == ([], [])
    spec = load_environment(tmp_path / "environments" / "vision.toml")
    assert (spec.scheduler.kind, spec.scheduler.accounting, spec.scheduler.idle_minutes) == (
        "slurm",
        True,
        10,
    )
    assert (spec.own_team, spec.further_teams) == ("vision", ())


def test_teams_are_sorted_and_the_own_one_is_no_further_team(tmp_path: Path) -> None:
    tables = "".join(f"[scheduler.teams.{name}]\nshare = 2\n" for name in ("green", "vision", "blue"))
    assert checked(tmp_path, environment_text() + tables) == ([], [])
    spec = load_environment(tmp_path / "environments" / "vision.toml")
    assert spec.further_teams == ("blue", "green")
    plain = spec.model_copy(update={"scheduler": spec.scheduler.model_copy(update={"kind": "plain"})})
    assert plain.further_teams == (), "without a queue nobody shares one"


def test_a_teams_user_follows_from_its_name_alone() -> None:
    assert own_team("computer-vision-and-more-words") == "computervisionandmor"
    assert team_user("blue") == "ff-blue" and len(team_user("b" * 20)) <= 32
    uids = {team_uid(name) for name in ("blue", "green", "vision", "speech")}
    assert len(uids) == 4 and all(FIRST_UID <= uid < FIRST_UID + UIDS for uid in uids)


@pytest.mark.parametrize(
    ("more", "path", "what"),
    [
        ("[scheduler.teams.Blue]\n", "scheduler.teams.Blue", "does not have the right form"),
        ("[scheduler.teams.dark-blue]\n", "scheduler.teams.dark-blue", "does not have the right form"),
        ("[scheduler.teams.blue]\nshare = 0\n", "scheduler.teams.blue.share", "0 is too small"),
        ("[scheduler.teams.blue]\nmembers = ['ann']\n", "scheduler.teams.blue.members.0", "right form"),
        ("[scheduler]\nkind = 'slrum'\n", "scheduler.kind", "'slrum' is not a choice here"),
        ("[scheduler]\nidle_minutes = 0\n", "scheduler.idle_minutes", "0 is too small"),
        ("[scheduler]\nshare = 2\n", "scheduler.share", "there is no setting 'share'"),
    ],
)
def test_a_setting_of_the_wrong_form_is_told_with_where_it_stands(
    tmp_path: Path, more: str, path: str, what: str
) -> None:
    file = write_folder(tmp_path, vision=environment_text() + more) / "vision.toml"
    with pytest.raises(UserError) as caught:
        load_environment(file)
    (problem,) = caught.value.problems
    assert problem.path == path and what in problem.what


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        (environment_text() + "[scheduler.teams.queue]\n", "scheduler.teams.queue", "documents of the queue"),
        (
            environment_text() + "[scheduler.teams.root]\n",
            "scheduler.teams.root",
            "accounting has an account",
        ),
        *(
            (
                environment_text() + f"[scheduler.teams.{name}]\n",
                f"scheduler.teams.{name}",
                "role would be named",
            )
            for name in ("head", "node", "run", "operator", "member", "lease")
        ),
        (
            environment_text() + f"[scheduler.teams.vision]\nmembers = ['{SOMEBODY}']\n",
            "scheduler.teams.vision.members",
            "neither lets anybody in nor keeps anybody out",
        ),
        (environment_text(team='team = "root"'), "team", "accounting has an account"),
        (environment_text().replace("fleets.gpu", "fleets.default"), "fleets.default", "partition"),
        (
            GROWS + 'fallback_purchases = ["spot", "spot"]\n',
            "fleets.gpu.fallback_purchases",
            "spot is tried already",
        ),
        (
            GROWS + 'fallback_purchases = ["on_demand"]\n',
            "fleets.gpu.fallback_purchases",
            "on_demand is tried already",
        ),
        (
            GROWS + 'fallback_purchases = ["capacity_reservation"]\n',
            "fleets.gpu.reservation",
            "none is named",
        ),
    ],
)
def test_what_slurm_or_aws_would_refuse_is_refused_first(
    tmp_path: Path, text: str, path: str, what: str
) -> None:
    errors, _ = checked(tmp_path, text)
    assert [each.path for each in errors] == [path], errors
    assert what in errors[0].what


def test_a_fleet_takes_a_reservation_or_a_block_and_not_both(tmp_path: Path) -> None:
    more = 'purchase = "capacity_block"\nreservation = "cr-0123456789abcdef0"\n'
    text = (
        GROWS.replace("g5.xlarge", "p5.48xlarge") + more + 'fallback_purchases = ["capacity_reservation"]\n'
    )
    errors, _ = checked(tmp_path, text)
    assert [each.path for each in errors] == ["fleets.gpu.fallback_purchases"]
    assert "either a capacity reservation or a capacity block" in errors[0].what


def test_two_teams_whose_users_would_be_one_are_refused(tmp_path: Path) -> None:
    taken = team_uid("vision")
    clash = next(name for number in range(10**6) if team_uid(name := f"t{number}") == taken)
    errors, _ = checked(tmp_path, environment_text() + f"[scheduler.teams.{clash}]\n")
    assert [each.path for each in errors] == [f"scheduler.teams.{clash}"]
    assert str(taken) in errors[0].what


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (
            GROWS.replace("nodes = 0", 'nodes = 0\nfallback_purchases = ["spot"]')
            + '[scheduler]\nkind = "plain"\nidle_minutes = 3\n[scheduler.teams.blue]\n',
            ["fleets.gpu.fallback_purchases", "scheduler.idle_minutes", "scheduler.teams"],
        ),
        (
            environment_text().replace("max_nodes = 4", "max_nodes = 2") + 'fallback_purchases = ["spot"]\n',
            ["fleets.gpu.fallback_purchases"],
        ),
        (
            environment_text() + "[scheduler]\naccounting = false\n[scheduler.teams.blue]\n",
            ["scheduler.accounting"],
        ),
        (environment_text() + "[fsx]\nrun_max_gib = 1200\n", ["fsx.run_max_gib"]),
        (environment_text() + "[scheduler]\nkind = 'plain'\n[fsx]\nrun_max_gib = 1200\n", []),
    ],
)
def test_a_setting_without_effect_is_warned_of(tmp_path: Path, text: str, paths: list[str]) -> None:
    errors, warnings = checked(tmp_path, text)
    assert errors == []
    assert sorted(each.path for each in warnings) == paths


def test_that_teams_share_machines_is_nothing_to_warn_of(tmp_path: Path) -> None:
    assert checked(tmp_path, environment_text() + "[scheduler.teams.blue]\n") == ([], [])
    assert checked(tmp_path, environment_text() + "[scheduler.teams.vision]\nshare = 2\n") == ([], [])


def test_the_own_team_may_be_called_as_a_role_is(tmp_path: Path) -> None:
    text = environment_text(team='team = "node"') + "[scheduler.teams.node]\nshare = 2\n"
    assert checked(tmp_path, text) == ([], [])
