"""The process that carries one act out: `python -m console.acts.work FOLDER`. It outlives the console."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from console.acts.folder import ActFolder, End
from console.acts.perform import perform
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from stacks.problems import UserError


def main(folder: ActFolder) -> int:
    """Carry the act out, and write how it ended; 0 where it was done."""
    # A console in the background of a shell ignores ctrl-C, and its children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        folder.note_ready()
        end = _carry_out(folder)
    except KeyboardInterrupt:
        end = End.now("stopped")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder.finish(end)
    return 0 if end.outcome == "done" else 1


def _carry_out(folder: ActFolder) -> End:
    try:
        return End.now("done", **perform(folder.task(), folder.tell, folder.path))
    except UserError as error:
        return End.now("refused", problems=[asdict(each) for each in error.problems])
    except Exception as error:
        if isinstance(error, ActError) or is_cloud_error(error):
            return End.now("failed", message=str(error))
        traceback.print_exc()
        return End.now("failed", message=f"a mistake of ours, {type(error).__name__}: see {folder.log}")


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    """Stop as ctrl-C does, which lets Terraform save its state: so a machine that shuts down asks."""
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(ActFolder(Path(sys.argv[1]))))
