"""The guardrails on what an environment stores."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.lustre_sizes import is_lustre_size, lustre_sizes_around
from stacks.problems import Problem


def lustre_size_is_one_of_fsx(case: Case) -> Iterator[Problem]:
    """A fast file system's size is 1200 GiB or a multiple of 2400, and so is the most that a run may have."""
    sizes = [("fsx.run_max_gib", case.spec.fsx.run_max_gib)] if case.spec.fsx.run_max_gib else []
    if case.spec.fsx.kind != "none":
        sizes.append(("fsx.size_gib", case.spec.fsx.size_gib))
    for path, gib in sizes:
        if not is_lustre_size(gib):
            near = " or ".join(str(size) for size in lustre_sizes_around(gib))
            yield case.problem(path, f"FSx makes no file system of {gib} GiB", f"take {near}")


def fsx_settings_have_effect(case: Case) -> Iterator[Problem]:
    """No setting of `[fsx]` is given that its kind does not have."""
    fsx = case.spec.fsx
    given = fsx.model_fields_set
    idle: list[tuple[str, str]] = []
    if fsx.kind == "none":
        idle = [
            (name, 'there is no lasting file system (`kind` is "none")')
            for name in ("size_gib", "throughput", "linked", "on_teardown")
        ]
    elif fsx.kind == "scratch":
        idle = [
            ("throughput", "the speed of scratch is fixed at 200 MB/s/TiB"),
            ("on_teardown", "scratch always goes with the fleet"),
        ]
    for name, why in idle:
        if name in given:
            do = 'take the line out, or set kind to "persistent"'
            yield case.problem(f"fsx.{name}", f"it has no effect: {why}", do)


def efs_settings_have_effect(case: Case) -> Iterator[Problem]:
    """No setting of `[efs]` is given where there is no shared file system."""
    efs = case.spec.efs
    for name in sorted(efs.model_fields_set - {"enabled"}) if not efs.enabled else ():
        yield case.problem(
            f"efs.{name}",
            "it has no effect: there is no shared file system (`enabled` is false)",
            "set enabled to true, or take the line out",
        )


STORAGE_ERRORS: tuple[Rule, ...] = (lustre_size_is_one_of_fsx,)
"""Rules on storage whose findings stop every act that builds."""
STORAGE_WARNINGS: tuple[Rule, ...] = (fsx_settings_have_effect, efs_settings_have_effect)
"""Rules on storage whose findings are told, and stop nothing."""
