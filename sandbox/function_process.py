"""The process of one call of a Lambda function: finds the handler, calls it, writes the answer.

Started by `sandbox/functions.py` as a file of its own, in the unpacked archive, with the event on standard
input; it may import nothing of ours.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class Context:
    """What a handler is told of its call; the names are Lambda's."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.function_name = about["function_name"]
        self.invoked_function_arn = about["arn"]
        self.aws_request_id = about["request"]
        self.function_version = "$LATEST"
        self._deadline = time.monotonic() + about["timeout_s"]

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the call may still take."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def main() -> None:
    """Make the call; its answer goes to the file that was named, what it prints to standard output."""
    gc.disable()  # nothing lives longer than the call: to look for garbage is a third of the work
    about = json.loads(sys.argv[1])
    # This file's own folder is ours and not the archive's.
    sys.path[0] = str(Path.cwd())
    sys.path.append(about["libraries"])
    event = json.loads(sys.stdin.buffer.read())
    try:
        module, _, name = about["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        said = {"answer": handler(event, Context(about)), "failed": False}
        text = json.dumps(said)
    except Exception as error:
        traceback.print_exc()
        frames = traceback.format_tb(error.__traceback__)
        told = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": frames}
        text = json.dumps({"answer": told, "failed": True})
    sys.stdout.flush()
    Path(about["answer"]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
