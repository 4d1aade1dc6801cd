"""The synthesis, `python -m stacks.app`: every declared environment becomes Terraform JSON."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from stacks import naming
from stacks.account import AccountSpec
from stacks.bundle import Bundle, build_bundle
from stacks.entry_paths import EntryPathError, write_entry_paths
from stacks.environment import EnvironmentSpec, environment_files
from stacks.guardrails import check_directory, load_declared
from stacks.problems import Problem, UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Synthesize what the arguments ask for; return 2 where the files have errors, and print them all.

    Return 1 where what was made would let somebody into a machine unseen, which is the stacks' own mistake.
    """
    options = _parser().parse_args(arguments)
    try:
        account, specs = read_declarations(options.environments, options.environment, options.unchecked)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        synthesize(account, specs, build_bundle(), options.out)
    except EntryPathError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def read_declarations(
    directory: Path, names: Sequence[str] | None, unchecked: bool = False
) -> tuple[AccountSpec, list[EnvironmentSpec]]:
    """Return the account and the environments of these names, or all of them.

    Warnings go to standard error. Raises UserError with every error of the files and, unless `unchecked`, of
    the guardrails. That a lease is over is only a warning here: what it covers must still come down.
    """
    chosen = list(names or (file.stem for file in environment_files(directory)))
    if not unchecked:
        errors, warnings = check_directory(directory, chosen)
        over = [problem for problem in errors if problem.path == "lease_ends"]
        for problem in (*warnings, *over):
            print(f"warning: {problem}", file=sys.stderr)
        if errors := [problem for problem in errors if problem not in over]:
            raise UserError(errors)
    problems: list[Problem] = []
    declared: list[tuple[AccountSpec, EnvironmentSpec]] = []
    for name in chosen:
        try:
            declared.append(load_declared(directory, name))
        except UserError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise UserError(problems)
    if not declared:
        raise UserError.of(f"no environment is declared in {directory}", "declare one: `fleetform init NAME`")
    return declared[0][0], [spec for _, spec in declared]


def synthesize(account: AccountSpec, specs: Sequence[EnvironmentSpec], bundle: Bundle, out: Path) -> None:
    """Write the account stack and every environment's two stacks below `out`.

    Raises EntryPathError where a machine could be entered unseen, which no setting asks for.
    """
    # Here, so that a mistake in a file is told without waiting for CDKTF's process to start.
    from stacks.account_stack import fill_account_stack
    from stacks.aws.generated.provider import SOURCE, VERSION
    from stacks.base_outputs import BaseOutputs
    from stacks.base_stack import fill_base_stack
    from stacks.cdk import App, Backend, Provider, Stack
    from stacks.fleet_stack import FleetStack
    from stacks.place import find_place
    from stacks.tags import account_tags, environment_tags

    bucket = naming.state_bucket(account.organization, account.region)
    app = App(out)

    def backend(name: str) -> Backend:
        return Backend(bucket=bucket, key=naming.state_key(name), region=account.region)

    def stack(name: str, region: str, tags: dict[str, str]) -> Stack:
        provider = Provider(source=SOURCE, version=VERSION, region=region, default_tags=tags)
        return app.stack(name, backend(name), provider)

    fill_account_stack(stack(naming.ACCOUNT_STACK, account.region, account_tags(account)), account)
    for spec in specs:
        base_name, fleet_name = naming.environment_stacks(spec.name)
        base = stack(base_name, spec.region, environment_tags(spec, base_name))
        fill_base_stack(base, account, spec)
        fleet = stack(fleet_name, spec.region, environment_tags(spec, fleet_name))
        fleet.read_state_of(base, backend(base_name))
        outputs = BaseOutputs.remote(spec.network.zone_count)
        FleetStack(fleet, account, spec, find_place(fleet, spec.region), outputs, bundle).fill()
    app.synth()
    _write_beside(account, specs, bundle, out)


def _write_beside(account: AccountSpec, specs: Sequence[EnvironmentSpec], bundle: Bundle, out: Path) -> None:
    """Write what the stacks upload beside them, and the entry-path tables, which read what was made."""
    from stacks.fleet_stack import BUNDLE_FILE
    from stacks.reaper_archive import ARCHIVE_FILE, build_reaper_archive

    (out / "stacks" / naming.ACCOUNT_STACK / ARCHIVE_FILE).write_bytes(build_reaper_archive())
    for spec in specs:
        (out / "stacks" / naming.fleet_stack(spec.name) / BUNDLE_FILE).write_bytes(bundle.data)
        write_entry_paths(out, spec.name, trail_wanted=account.audit.trail)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stacks.app", description="Write every stack as Terraform JSON."
    )
    parser.add_argument(
        "--environments", type=Path, default=Path("environments"), help="folder of the TOML files"
    )
    parser.add_argument(
        "--environment", action="append", metavar="NAME", help="only this one (repeatable); all by default"
    )
    parser.add_argument(
        "--out",
        type=Path,
        # As cdktf-cli tells it to its app.
        default=Path(os.environ.get("CDKTF_OUTDIR") or "cdktf.out"),
        help="folder to write to",
    )
    parser.add_argument(
        "--unchecked", action="store_true", help="build even what the guardrails refuse, to tear it down"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
