"""Counts steps with the other ranks, misbehaves as it is told: `steps.py FOLDER STEPS [DO@STEP[@RANK] ...]`.

The number of the last step lies in FOLDER/step. What it is told to do it does once a folder, or each time
where DO ends in `!`.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist

from trainer.launch.pulse import Pulse

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
pulse = Pulse.open()
stop_asked = False


def on_stop(number, frame):
    """Note that somebody wants the end."""
    global stop_asked
    stop_asked = True


def misbehave(step, rank):
    """Do what the command line says for this step and rank."""
    for what in sys.argv[3:]:
        do, at, who = (*what.split("@"), "0")[:3]
        done = folder / f"{do}-{at}-{who}"
        if (int(at), int(who)) != (step, rank) or (done.exists() and not do.endswith("!")):
            continue
        done.touch()
        match do.rstrip("!"):
            case "raise":
                raise ValueError(f"step {step} is a bad one")
            case "diverge":
                raise type("DivergedError", (Exception,), {})(f"the loss of step {step} is no number")
            case "exit2":
                sys.exit(2)
            case "exit76":
                os._exit(76)
            case "sleep":
                time.sleep(600)


def main():
    """Step from where the last process stopped."""
    signal.signal(signal.SIGTERM, on_stop)
    dist.init_process_group("gloo")
    rank, file = dist.get_rank(), folder / "step"
    step = int(file.read_text()) if file.exists() else 0
    dist.barrier()
    pulse.beat(step)
    pulse.phase("training")
    while step < steps:
        misbehave(step + 1, rank)
        asked = torch.tensor([float(stop_asked)])
        dist.all_reduce(asked)
        time.sleep(0.01)
        if asked.item():
            left = pulse.deadline()
            print(f"stopping with {left:.0f} s left" if left is not None else "stopping unasked", flush=True)
            sys.stdout.flush()
            os._exit(75)
        step += 1
        if rank == 0:
            sys.stdout.write(f"step {step}\n")  # in one piece, though a kill may come at any time
            (folder / "step.new").write_text(str(step))
            (folder / "step.new").rename(file)
        pulse.beat(step)
    dist.destroy_process_group()


main()
