"""A rank with helpers of its own, one in a session of its own: `families.py FOLDER [leave|deaf|kind]`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

words = sys.argv[2:]
if "deaf" in words:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "kind" in words:
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # saved, as many loops end then
helpers = [
    subprocess.Popen(["sleep", "600"], start_new_session=apart, stdout=subprocess.DEVNULL)
    for apart in (False, True)
]
path = Path(sys.argv[1]) / f"helpers-{os.environ['RANK']}"
path.write_text(" ".join(str(helper.pid) for helper in helpers))
sys.stdout.write("up\n")
sys.stdout.flush()
if "leave" in words:
    os._exit(0)
time.sleep(600)
