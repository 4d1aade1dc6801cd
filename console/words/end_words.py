"""What is said of how a run stands, why it waits, is idle, or has ended, as patterns for `said.py`."""

from __future__ import annotations

N_ = str
"""Marks a text for the catalogues; what it is in a language is looked up when it is read."""

END_WORDS: tuple[str, ...] = (
    N_("cancelled by {who}"),
    N_("cancelled by {who}; its head node was gone"),
    N_("cancelled by {who} before it was queued"),
    N_("idle: {said_cause}"),
    N_("idle: {said_cause}; it is stopped at {time} unless it goes on"),
    N_("it makes progress again"),
    N_("no training step since {time}, the last was step {step}"),
    N_("it has made no training step since its start at {time}"),
    N_("it evaluates or saves since {time}, and makes no training step"),
    N_("its loss is no number since step {step}"),
    N_("its program tells of no training step, and runs since {time}"),
    N_("its program tells of no training step, and its log has not grown since {time}"),
    N_("the fleet {fleet} was idle and without nodes: {count} start"),
    N_("it ran longer than its limit of {minutes} minutes"),
    N_("it took longer than its limit of {said_limit}"),
    N_("{minutes} minutes and the {more} for its uploads"),
    N_("its dispatcher on the head node ended without a word"),
    N_("whoever submitted it was killed before a head node was told"),
    N_("its machine {machine} is gone"),
    N_("it did not stop"),
    N_("a machine of it was lost, or taken away"),
    N_("it was told to stop, and has saved"),
    N_("node {node}: {said_why}"),
    N_("node {node} could not be told to begin: {error}"),
    N_("exit code {code}"),
    N_("ended by signal {signal}"),
    N_("no exit code"),
    N_("waiting for {nodes} free nodes of the fleet {fleet}: {ready} ready, {taken} of them taken{maybe_by}"),
    N_("making a file system of {gib} GiB"),
)
"""Each as `console/words/sentences.py` has them."""
