"""What the trainer says of people's data that is broken or hardly of use, as patterns for `said.py`."""

from __future__ import annotations

N_ = str
"""Marks a text for the catalogues; what it is in a language is looked up when it is read."""

DATA_WORDS: tuple[str, ...] = (
    # of one file or row
    N_("has too many pixels"),
    N_("is no picture of a kind that is known"),
    N_("cannot be decoded: {why}"),
    N_("is not UTF-8"),
    N_("is not UTF-8: byte {byte}"),
    N_("has {cells} cells, the header has {header}"),
    N_("is no JSON: {why}"),
    N_("is no JSON object"),
    N_("has no {column}"),
    N_("{column} is empty"),
    # of all of it
    N_("the header is not UTF-8: save it as CSV in UTF-8"),
    N_("the header has {columns} more than once: rename one"),
    N_("column {number} has no name in the header: give it one"),
    N_("there are no {things} in the data"),
    N_("bring other files, or say what else they are"),
    N_("no column of it can be predicted from the others"),
    # worth a look
    N_("{count} held-out pictures are copies of training pictures: their score is too good"),
    N_("classes without a held-out item, which nothing can be said of: {classes}"),
    N_("classes without an item to train on, which are never right: {classes}"),
    N_("classes with fewer than 10 items to train on: {classes}"),
)
