"""A save on its way: from a copy in memory to files, to a checkpoint here, to a checkpoint at the remote."""

from __future__ import annotations

import dataclasses
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

from trainer.checkpoints.agree import gather
from trainer.checkpoints.costs import SaveCosts
from trainer.checkpoints.resume_point import manifest_of
from trainer.checkpoints.snapshots import Snapshots
from trainer.checkpoints.writer_process import WriterProcess
from trainer.distributed import World
from trainer.state import Progress


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What every save of a run shares."""

    settings: dict[str, Any]
    config_digest: str
    writes: bool
    """Whether this rank has files of its own."""
    local: bool
    """Whether all files come together in one folder; else only the remote has a whole checkpoint."""
    remote: bool


@dataclass
class _Stage:
    """Something that this rank's writer does for a save, before all ranks commit it together."""

    about: Progress
    slot: int = -1
    begun: float = field(default_factory=time.monotonic)
    told: bool = False
    """Whether the writer has been told."""
    part: dict[str, Any] | None = None
    """What the writer answered."""
    own: dict[str, Any] = field(default_factory=dict)
    """This rank's files."""
    everybody: dict[str, Any] = field(default_factory=dict)
    """All ranks' files."""


class Saving:
    """The one save that is being written and the one that is being sent.

    Every rank goes through the same stages: `begin`, then `commit` when all ranks' parts are written, and
    where there is a remote `commit` once more when all are sent. A save that comes while an earlier one is
    sent is sent after it, the newest alone. What concerns all ranks is decided by all in the same call.
    """

    def __init__(
        self, world: World, writer: WriterProcess, snapshots: Snapshots, costs: SaveCosts, terms: Terms
    ) -> None:
        self._world, self._writer, self._snapshots = world, writer, snapshots
        self._costs, self._terms = costs, terms
        self._save: _Stage | None = None
        self._upload: _Stage | None = None
        self._behind: _Stage | None = None
        self._left_out = False
        self._finishing: dict[str, tuple[int, float]] = {}
        """On rank 0: the step and the begin of what its writer commits here and publishes at the remote."""

    @property
    def busy(self) -> bool:
        """Whether the next save has to wait, the same on every rank."""
        return self._save is not None or (self._upload is not None and not self._terms.local)

    @property
    def under_way(self) -> bool:
        """Whether anything is left to write, commit, send or publish, as far as this rank knows."""
        return bool(self._save or self._upload or self._behind or self._finishing)

    @property
    def held_slot(self) -> int | None:
        """The slot that the writer reads or is going to."""
        return self._save.slot if self._save and self._save.part is None else None

    def leave_out(self, step: int) -> None:
        """Have the next `wait` tell that a save was not even begun."""
        self._left_out = True
        self._failed(f"the checkpoint of step {step} is not saved: the one before is still being written")

    def begin(self, about: Progress, slot: int) -> None:
        """Have the copy in that slot written as soon as it is there."""
        assert self._save is None
        self._left_out = False
        # A copy, for what is under way may go on in the dictionaries.
        self._save = _Stage(Progress(**dataclasses.asdict(about)), slot)
        self.tell()

    def hold_updates(self) -> None:
        """Have what the device is told from here on wait for a copy that is still under way."""
        self._snapshots.hold_updates()
        self.tell()

    def tell(self) -> None:
        """Tell the writer of a save whose copy has landed."""
        save = self._save
        if save is None or save.told or not self._snapshots.land(wait=False):
            return
        save.told = True
        if self._terms.writes:
            image = self._snapshots.image_start(save.slot)
            self._writer.send({"do": "write", "step": save.about.step, "image": image})
        else:
            save.part = {"error": "", "files": {}}

    def written(self) -> bool:
        """Return whether the next `commit` has this rank's part, done well or not."""
        self._listen(0.0)
        self.tell()
        stage = self._save or self._upload
        return stage is not None and stage.part is not None

    def commit(self) -> bool:
        """Bring the save, or else the upload, a stage further; return whether no save is left to commit.

        Nothing happens where a rank does not have its part yet, as after a `wait` that came in between.
        """
        stage = self._save or self._upload
        gathered = gather(stage.part if stage else None, self._world)
        parts = [part for part in gathered if part is not None]
        if stage is None or stage.part is None or len(parts) < self._world.world_size:
            return self._save is None
        errors = [f"rank {rank}: {part['error']}" for rank, part in enumerate(parts) if part["error"]]
        if stage is self._save:
            self._save = None
            stage.own = stage.part.get("files", {})
            stage.everybody = {name: entry for part in parts for name, entry in part.get("files", {}).items()}
            self._commit_save(stage, errors)
        else:
            self._upload = None
            self._commit_upload(stage, errors)
        return self._save is None

    def wait(self, seconds: float) -> bool:
        """Wait until all is committed and sent, at most so long; return whether nothing failed or is left."""
        until, failures = time.monotonic() + seconds, self._costs.failures
        self._writer.send({"do": "hurry", "hurry": True})
        self._snapshots.land(wait=True)
        done = False
        while not done:
            ready, left = float(self.written()), float(self.under_way)
            late = float(time.monotonic() > until)
            ready, left, late, failed = self._world.sum([ready, left, late, self._costs.failures - failures])
            if ready == self._world.world_size:
                self.commit()
            elif not left or late:
                done = True
            else:
                self._listen(0.05)
        self._writer.send({"do": "hurry", "hurry": False})
        return not (left or failed or self._left_out)

    def _commit_save(self, stage: _Stage, errors: list[str]) -> None:
        step = stage.about.step
        if errors:
            self._writer.send({"do": "discard", "step": step})
            self._failed(f"the checkpoint of step {step} is not saved, training goes on: {errors[0]}")
            return
        if self._terms.local and self._world.is_main:
            protected = self._upload.about.step if self._upload else 0
            self._finish("commit", stage, protected=protected)
        if self._terms.remote:
            self._behind = stage
            self._send_newest()

    def _commit_upload(self, stage: _Stage, errors: list[str]) -> None:
        if errors:
            self._failed(f"the checkpoint of step {stage.about.step} is not sent: {errors[0]}")
        elif self._world.is_main:
            self._finish("publish", stage)
        if not self._terms.local:
            self._writer.send({"do": "forget", "step": stage.about.step})
        self._send_newest()

    def _send_newest(self) -> None:
        """Have the newest save sent that nobody has sent yet, once the one before is."""
        if self._upload is None and self._behind is not None:
            self._upload, self._behind = self._behind, None
            stage = self._upload
            stage.part = None if stage.own else {"error": ""}
            if stage.own:
                self._writer.send({"do": "upload", "step": stage.about.step, "files": stage.own})

    def _finish(self, act: str, stage: _Stage, **more: Any) -> None:
        """Have rank 0's writer make a checkpoint of everybody's files."""
        terms, step = self._terms, stage.about.step
        manifest = manifest_of(
            stage.about, stage.everybody, terms.settings, terms.config_digest, self._world.world_size
        )
        self._finishing[act] = (step, stage.begun)
        self._writer.send({"do": act, "step": step, "manifest": dataclasses.asdict(manifest), **more})

    def _listen(self, seconds: float) -> None:
        """Take in what the writer has answered, after waiting so long for it."""
        stages = {"write": self._save if self._save and self._save.told else None, "upload": self._upload}
        if not self._finishing and all(stage is None or stage.part for stage in stages.values()):
            return
        answers = self._writer.answers(seconds)
        if answers is None:
            acts = ("write", "upload", "commit", "publish")
            answers = [{"did": did, "error": "its writer has died", "files": {}} for did in acts]
        for answer in answers:
            did = answer["did"]
            stage = stages.get(did)
            if stage is not None and stage.part is None:
                stage.part = answer
            elif did in self._finishing:
                self._finished(did, answer)

    def _finished(self, act: str, answer: dict[str, Any]) -> None:
        """Take in how rank 0's writer has finished a checkpoint."""
        step, begun = self._finishing.pop(act)
        if answer["error"]:
            what = "saved, training goes on" if act == "commit" else "published at the remote"
            self._failed(f"the checkpoint of step {step} is not {what}: {answer['error']}")
            return
        for left in answer["left"]:
            warnings.warn(left, stacklevel=2)
        self._costs.note(act, step, time.monotonic() - begun, answer["bytes"], local=self._terms.local)

    def _failed(self, why: str) -> None:
        self._costs.failures += 1
        if self._world.is_main:
            warnings.warn(why, stacklevel=4)
