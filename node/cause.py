"""Why a node's part of a run failed, in one line taken from its log."""

from __future__ import annotations

import re

TAIL_BYTES = 65536
"""How much of the end of a log is looked at."""
OUR_WORD = "fleetform: "
"""What a line of a log begins with that is not the job's."""
_LONGEST = 300
_EXCEPTION = re.compile(
    r"^(?:\[rank\d+\]:\s?)?((?:\w+\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)\b.*)"
)
# torchrun's own words round a failure: log lines with a level and date, and the table of its summary.
_TORCHRUN = re.compile(
    r"^([EWI]\d{4} |={5,}|-{5,}|\[rank\d+\]:\[[EWI]\d"
    r"|.*torch/distributed/(run|launcher|elastic)|.*ChildFailedError)"
)
_LAUNCHER = re.compile(r"^launcher: (?:(failed|stopped): )?(.*)")
"""What the launcher says itself; its last word is why it failed, or was stopped."""
_BARE_CODE = re.compile(r"\bended with exit code \d+")
_CHILD_EXIT = re.compile(r"^\s+exitcode\s*:\s*(-?\d+)", re.MULTILINE)
_SUMMARY = re.compile(r"^\S*ChildFailedError:", re.MULTILINE)
_INNER = re.compile(r"^\s|^Traceback \(most recent call last\)|^\[rank\d+\]:(\s{2,}|\s?Traceback)")


def cause_of(log: str, exit_code: int | None) -> str:
    """Return the log's most telling line: what the launcher says at its end, else the last exception, else
    the last line that is neither the launcher's nor torchrun's own.

    Where the log says nothing, the exit code speaks: that of the failed process where torchrun names it, else
    `exit_code`. Where the launcher knows no more than an exit code, the job's last line is put before it.
    """
    job = _SUMMARY.split(log)[0]
    said = [line for line in job.splitlines() if line.strip() and not line.startswith(OUR_WORD)]
    launcher = [found for line in said if (found := _LAUNCHER.match(line))]
    lines = [line for line in said if not (_TORCHRUN.match(line) or _LAUNCHER.match(line))]
    exceptions = [found.group(1) for line in lines if (found := _EXCEPTION.match(line))]
    plain = [line for line in lines if not _INNER.match(line)]
    own = exceptions[-1] if exceptions else (plain[-1] if plain else "")
    if launcher and launcher[-1].group(1):
        cause = launcher[-1].group(2).strip()[:_LONGEST]
        return f"{own.strip()[:_LONGEST]} ({cause})" if own and _BARE_CODE.search(cause) else cause
    child = _CHILD_EXIT.search(log)
    ended = describe_exit(int(child.group(1)) if child else exit_code)
    return f"{own.strip()[:_LONGEST]} ({ended})" if own else ended


def of_node(rank: int, cause: str) -> str:
    """Return the cause with the node that it is of; a launcher has named the first process and its node."""
    return cause if cause.startswith("rank ") else f"node {rank}: {cause}"


def describe_exit(code: int | None) -> str:
    """Return an exit code in words; below 0 and above 128 it is a signal, as the shell counts them."""
    if code is None:
        return "no exit code"
    if code < 0 or code > 128:
        return f"ended by signal {-code if code < 0 else code - 128}"
    return f"exit code {code}"
