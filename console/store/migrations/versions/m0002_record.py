"""The index of the ledger anew: without the entries' bodies, found by run, target and outcome, too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from console.store.columns import Moment

revision = "0002"
down_revision = "0001"

_INDEXED = ("environment", "person", "event", "outcome", "target", "run", "instance")


def upgrade() -> None:
    """Throw the index away, which is filled again from the ledger."""
    op.drop_table("entries")
    op.create_table(
        "entries",
        sa.Column("sequence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("target", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("environment", sa.String(40), nullable=False),
        sa.Column("run", sa.String(100), nullable=False),
        sa.Column("person", sa.String(200), nullable=False),
        sa.Column("instance", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_entries"),
    )
    for column in _INDEXED:
        op.create_index(f"ix_entries_{column}_sequence", "entries", [column, "sequence"])
    op.execute(sa.text("DELETE FROM index_state"))
    op.create_index("ix_reviews_period_kind", "reviews", ["period", "kind"], unique=True)
