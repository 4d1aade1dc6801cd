"""Writes down what a script can see of how it was started: `facts.py FILE ARGUMENT [torch [fork|spawn]]`."""

import json
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from pathlib import Path

import trainer


class Numbers:
    """Four of them."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index


def with_torch():
    """Return what torch makes of it."""
    import torch
    import torch.distributed as dist
    from torch.distributed.elastic.multiprocessing.errors import record
    from torch.utils.data import DataLoader

    @record
    def compute():
        dist.init_process_group("gloo")
        total = torch.ones(1)
        dist.all_reduce(total)
        dist.destroy_process_group()
        workers = {"num_workers": 1, "multiprocessing_context": sys.argv[-1]} if len(sys.argv) > 4 else {}
        loaded = [batch.tolist() for batch in DataLoader(Numbers(), batch_size=2, **workers)]
        return {"sum": total.item(), "loaded": loaded, "seed": torch.initial_seed()}

    return compute()


def main():
    """Look around."""
    here = sys.modules["__main__"]
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP)
    facts = {
        "argv": sys.argv,
        "orig_argv": sys.orig_argv[1:],
        "path": sys.path,
        "file": __file__,
        "spec": getattr(__spec__, "name", None),
        "package": __package__,
        "attributes": sorted(name for name in vars(here) if name.startswith("__")),
        "main is here": vars(here) is globals(),
        "pickles": pickle.loads(pickle.dumps(Numbers)) is Numbers,
        "their trainer": trainer.MINE,
        "ours": [name for name in sys.modules if name.startswith("trainer.")],
        "flags": str(sys.flags),
        "cwd": str(Path.cwd()),
        "signals": [str(signal.getsignal(number)) for number in handled],
        "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "threads": threading.active_count(),
        "main thread": threading.current_thread() is threading.main_thread(),
        "process": multiprocessing.current_process().name,
        "unbuffered": sys.stdout.write_through,
        "environment": dict(os.environ),
        **(with_torch() if "torch" in sys.argv else {}),
    }
    Path(f"{sys.argv[1]}-{os.environ.get('RANK', '0')}").write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
