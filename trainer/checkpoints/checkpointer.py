"""Checkpoints of a run: taken while it trains, written beside it, and found again after anything."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import time
from pathlib import Path
from typing import Any, Literal

from trainer.checkpoints.agree import gather, share_folder
from trainer.checkpoints.costs import SaveCosts
from trainer.checkpoints.folder import CheckpointFolder
from trainer.checkpoints.plan import make_plan
from trainer.checkpoints.remote import Remote, check_url, remote_failures
from trainer.checkpoints.restore import OldMemory, from_folder, from_memory
from trainer.checkpoints.saving import Saving, Terms
from trainer.checkpoints.snapshots import Snapshots
from trainer.checkpoints.state_copy import StateCopy, choose_num_slots
from trainer.checkpoints.writer_process import WriterProcess
from trainer.configs.settings import ConfigError
from trainer.distributed import World
from trainer.state import Progress, State

MEMORY_VARIABLE = "FLEETFORM_MEMORY_FD"
"""Names the descriptor of a memory that outlives this process, where the launcher gives one."""


_NOT_SHARED = (
    "the machines do not share this folder, and a sharded state takes all of their files: put the run "
    "directory on a file system that all of them see, or set FLEETFORM_CHECKPOINTS_URL=s3://bucket/prefix"
)


class Checkpointer:
    """Saves a run's state while it trains and takes it back.

    `resume`, `prepare`, `save`, `commit`, `wait` and `clear` are called by every process at once; the others
    talk to nobody. One save is under way at a time.
    """

    def __init__(
        self,
        folder: Path,
        world: World,
        *,
        keep: int,
        settings: dict[str, Any],
        config_digest: str,
        memory: Literal["auto", "every_step", "off"] = "auto",
        remote: str | None = None,
        bytes_per_second: float | None = None,
    ) -> None:
        """Start the writer; `bytes_per_second` bounds what each rank writes and sends, None does not."""
        if remote is not None:
            check_url(remote)
        self.costs = SaveCosts()
        self.source = ""
        """Where `resume` found the state: `memory`, `folder` or `remote`, "" where it found none."""
        self._path, self._world, self._keep = folder, world, keep
        self._settings, self._digest = settings, config_digest
        self._remote, self._rate = remote, bytes_per_second
        given = os.environ.get(MEMORY_VARIABLE)
        self._own_memory = given is None
        self._snapshots_wanted = memory != "off" and given is not None  # else nothing would outlive this
        self._memory = int(given) if given else os.memfd_create("fleetform-state", os.MFD_CLOEXEC)
        self._writer = WriterProcess(self._memory)
        self._where: Path | None = None
        self._copy: StateCopy | None = None
        self._snapshots: Snapshots | None = None
        self._state: State | None = None
        self._saving: Saving | None = None

    def resume(self, state: State) -> Progress | None:
        """Load the newest whole state into `state`, in place; return where it goes on, None to begin.

        Raises, on every process, ConfigError where the newest checkpoint is of other settings or of another
        state, and UnreadableError where it cannot be read.
        """
        world = self._world
        folder = CheckpointFolder(self._root(), self._keep)
        if world.is_main:
            folder.drop_partials()
        newest = max(gather(folder.newest_step() if world.local_rank == 0 else 0, world))
        memory = OldMemory(self._memory, self._identity())
        found = from_memory(state, world, memory, newest)
        found = found or from_folder(state, world, folder, self._settings, self._remote)
        memory.forget_others(found.progress.step if found else 0)
        self.source = found.source if found else ""
        return found.progress if found else None

    def prepare(self, state: State) -> None:
        """Plan the saves and get the memory for them, once the state has all of its tensors."""
        world = self._world
        plan = make_plan(state.tensors(), world, state.parameters())
        num_here = plan.machines.count(plan.machines[world.rank])
        wanted = choose_num_slots(plan.layout.image_bytes, num_here, snapshots=self._snapshots_wanted)
        self._state = state
        if self._copy is not None:
            self._copy.close()
        self._copy = StateCopy(self._memory, plan, self._identity(), min(gather(wanted, world)), world.device)
        self._snapshots = Snapshots(state, plan, self._copy)
        terms = Terms(
            settings=self._settings,
            config_digest=self._digest,
            writes=plan.writes,
            local=not plan.sharded or share_folder(self._root(), plan.machines, world),
            remote=self._remote is not None,
        )
        if not terms.local and not terms.remote:
            raise ConfigError([f"{self._root()}: {_NOT_SHARED}"])
        self._saving = Saving(world, self._writer, self._snapshots, self.costs, terms)
        self._writer.plan(
            {
                "root": str(self._root()),
                "keep": self._keep,
                "memory_bytes": self._copy.slots.shape.file_bytes(),
                "extents": [dataclasses.asdict(extent) for extent in plan.layout.extents],
                "bytes_per_second": self._rate,
                "remote": self._remote,
            },
            plan.metadata,
        )

    def save(self, about: Progress, seconds: float = math.inf) -> float:
        """Copy the state and have it written; return the seconds that this took.

        When it returns the state may be changed, on a GPU after `before_update`. Where the save before is not
        committed yet, that is waited for, at most so long; is it not by then, this one is left out.
        """
        begun = time.perf_counter()
        assert self._saving is not None and self._snapshots is not None, "prepare() comes first"
        if self._saving.busy:
            self.wait(seconds)
        if self._saving.busy:
            self._saving.leave_out(about.step)
            return time.perf_counter() - begun
        slot = self._snapshots.take(about, held=None)
        if slot is None:  # the state has other tensors than before, on every rank alike
            assert self._state is not None
            self.wait()
            self.prepare(self._state)
            slot = self._snapshots.take(about, held=None)
        assert slot is not None, "the writer reads none"
        self._saving.begin(about, slot)
        self.costs.blocked_seconds = time.perf_counter() - begun
        self.costs.first_blocked_seconds = self.costs.first_blocked_seconds or self.costs.blocked_seconds
        return self.costs.blocked_seconds

    def remember(self, about: Progress) -> bool:
        """Copy the state into memory alone, where it outlives this process but not its launcher.

        Return False where it was left out: no slot is free but the newest whole one, the state has other
        tensors than at its last save, or none was asked for.
        """
        if not self._snapshots_wanted or self._snapshots is None or self._saving is None:
            return False
        begun = time.perf_counter()
        slot = self._snapshots.take(about, held=self._saving.held_slot)
        self.costs.snapshot_seconds = time.perf_counter() - begun
        return slot is not None

    def before_update(self) -> None:
        """Have the update of the weights that follows wait for a copy that is still under way."""
        if self._saving is not None:
            self._saving.hold_updates()

    def written(self) -> bool:
        """Return whether a save waits for `commit` and this rank's part of it is done, well or not.

        Where there is a remote, it is True a second time when the part has been sent.
        """
        return self._saving is not None and self._saving.written()

    @property
    def under_way(self) -> bool:
        """Whether anything is left to write, commit, send or publish, as far as this rank knows."""
        return self._saving is not None and self._saving.under_way

    def commit(self) -> bool:
        """Make a checkpoint of the parts that are written; by every process, when all have `written`.

        Return, the same on every process, whether no save is left to commit.

        Rank 0's writer does the rest in the background: the manifest last, then older checkpoints go. A part
        that failed is a warning on rank 0, and the save is given up.
        """
        assert self._saving is not None
        return self._saving.commit()

    def wait(self, seconds: float = math.inf) -> bool:
        """Wait until all that was saved is committed and sent, at most so long.

        Return, the same on every process, whether all of it is.
        """
        return self._saving is None or self._saving.wait(seconds)

    def clear(self) -> None:
        """Delete every checkpoint of the run and give up what memory holds.

        Raises ConfigError, on every process, where the remote's stay: the run would go on from them.
        """
        root, fault = self._root(), ""
        if self._world.is_main:
            CheckpointFolder(root, self._keep).clear()
            try:
                if self._remote:
                    Remote(self._remote).clear()
            except remote_failures() as error:
                fault = f"{self._remote}: the checkpoints there cannot be deleted: {error}"
        os.ftruncate(self._memory, 0)
        if fault := gather(fault, self._world)[0]:
            raise ConfigError([fault])

    @property
    def writer_pid(self) -> int:
        """The process id of the writer beside this process."""
        return self._writer.pid

    def close(self) -> None:
        """End the writer; what is not committed is given up. More than once does no harm."""
        self._writer.close()
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        if self._own_memory:
            self._own_memory = False
            os.close(self._memory)

    def _identity(self) -> str:
        """Return what a memory must be of: these settings in this run directory."""
        return hashlib.sha256(f"{self._digest} {self._root()}".encode()).hexdigest()

    def _root(self) -> Path:
        """Return the folder of this machine's ranks: that of the first of them; by every process at once."""
        if self._where is None:
            world = self._world
            self._where = Path(gather(str(self._path.absolute()), world)[world.rank - world.local_rank])
        return self._where
