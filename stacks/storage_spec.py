"""The stores of an environment: buckets, a shared file system, fast scratch, and what becomes of each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from stacks.fields import Spec, setting
from stacks.setting_forms import kept_versions

OnTeardown = Literal["retain", "delete"]


def _on_teardown(what: str) -> Any:
    return setting(f"What `fleetform down --base` does with {what}", unit="", change="free")


class ArtifactsSpec(Spec):
    """The bucket of runs and models."""

    on_teardown: Annotated[OnTeardown, _on_teardown("the artifact bucket and all runs in it")] = "retain"
    checkpoint_days: Annotated[
        int,
        setting(
            "Days after which a run's checkpoints are deleted (model, logs and metrics stay); 0 keeps them",
            unit="days",
            change="free",
            ge=0,
            le=3650,
        ),
    ] = 0
    old_version_days: Annotated[int, kept_versions()] = 7


class DatasetsSpec(Spec):
    """The bucket of datasets, which nodes can only read."""

    on_teardown: Annotated[OnTeardown, _on_teardown("the dataset bucket and all datasets in it")] = "retain"
    old_version_days: Annotated[int, kept_versions()] = 30


class EfsSpec(Spec):
    """A shared file system (EFS) at `/shared` on every machine."""

    enabled: Annotated[
        bool,
        setting("Whether there is one", unit="", change="free", why="it costs money by the gigabyte kept"),
    ] = False
    on_teardown: Annotated[OnTeardown, _on_teardown("the shared file system and all files on it")] = "retain"
    throughput: Annotated[
        Literal["elastic", "bursting"],
        setting(
            "How its speed is paid: by use, or growing with what is stored",
            unit="",
            change="free",
        ),
    ] = "elastic"
    archive_days: Annotated[
        Literal[0, 7, 14, 30, 60, 90],
        setting(
            "Days after which files that nobody read move to the cheaper storage class; 0 for never",
            unit="days",
            change="free",
        ),
    ] = 30
    backup: Annotated[
        bool,
        setting("Whether AWS Backup keeps daily copies of it", unit="", change="free", why="they cost money"),
    ] = False


class FsxSpec(Spec):
    """A fast parallel file system (FSx for Lustre) at `/fsx` on every machine."""

    kind: Annotated[
        Literal["none", "scratch", "persistent"],
        setting(
            "`scratch`: not replicated, made and ended with the fleet; `persistent`: replicated, kept with "
            "the base",
            unit="",
            change="refused",
            why="a file system cannot change its kind, and a new one would be empty",
        ),
    ] = "none"
    size_gib: Annotated[
        int,
        setting(
            "Its size: 1200, or a multiple of 2400",
            unit="GiB",
            change="free",
            why="it can grow, never shrink",
            ge=1200,
            le=1_000_000,
        ),
    ] = 1200
    throughput: Annotated[
        Literal[125, 250, 500, 1000],
        setting(
            "Speed of a persistent one for each TiB",
            unit="MB/s/TiB",
            change="free",
        ),
    ] = 125
    linked: Annotated[
        bool,
        setting(
            "Whether it shows the dataset bucket at `/fsx/datasets` and writes `/fsx/results` back to the "
            "artifact bucket",
            unit="",
            change="free",
        ),
    ] = True
    on_teardown: Annotated[
        OnTeardown, _on_teardown("a persistent one and all files on it (scratch always goes)")
    ] = "retain"
    run_max_gib: Annotated[
        int,
        setting(
            "Largest file system that a single run may have made for its own length (`fleetform run "
            "--fsx-gib`); 0 for none",
            unit="GiB",
            change="free",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
