"""Every table of the console's database, for whoever needs all of them: migrations."""

from __future__ import annotations

from console.store import people_tables, record_tables, work_tables
from console.store.columns import Base

MODULES = (people_tables, work_tables, record_tables)
METADATA = Base.metadata
