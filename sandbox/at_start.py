"""Imported before moto is: until `settle`, Python's garbage collector waits.

Moto's tables and models are some 300,000 objects that all stay; to look through them again and again while
they are made is a third of what the start of the embedded cloud takes.
"""

from __future__ import annotations

import gc

gc.disable()


def settle() -> None:
    """Take what is there for what stays, and let the collector look after what comes from now on."""
    gc.freeze()
    gc.enable()
