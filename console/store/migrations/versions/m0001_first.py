"""The first tables: people, their sessions and teams, work under way, and the index of the ledger."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from console.store.columns import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _make_people()
    _make_sign_in()
    _make_tokens()
    _make_drafts()
    _make_acts()
    _make_record()


def _column(
    name: str, kind: Any, *, nullable: bool = False, autoincrement: bool | str = "auto"
) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable, autoincrement=autoincrement)  # type: ignore[arg-type]


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def _person(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=f"fk_{table}_person_id")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _make_people() -> None:
    op.create_table(
        "people",
        _column("id", sa.String(16)),
        _column("name", sa.String(200)),
        _column("language", sa.String(8)),
        _column("zone", sa.String(64)),
        _column("theme", sa.String(8)),
        _column("disabled_at", Moment(), nullable=True),
        _column("created_at", Moment()),
        _key("people", "id"),
    )
    op.create_table(
        "teams",
        _column("name", sa.String(40)),
        _column("title", sa.String(200)),
        _key("teams", "name"),
    )
    op.create_table(
        "identities",
        _column("issuer", sa.String(300)),
        _column("subject", sa.String(255)),
        _column("person_id", sa.String(16)),
        _person("identities"),
        _key("identities", "issuer", "subject"),
    )
    _index("identities", "person_id")


def _make_sign_in() -> None:
    op.create_table(
        "passwords",
        _column("person_id", sa.String(16)),
        _column("hash", sa.String(300)),
        _column("changed_at", Moment()),
        _person("passwords"),
        _key("passwords", "person_id"),
    )
    op.create_table(
        "sessions",
        _column("token_sha256", sa.String(64)),
        _column("person_id", sa.String(16)),
        _column("created_at", Moment()),
        _column("seen_at", Moment()),
        _column("ends_at", Moment()),
        _column("proved_at", Moment()),
        _column("address", sa.String(64)),
        _column("agent", sa.String(200)),
        _person("sessions"),
        _key("sessions", "token_sha256"),
    )
    _index("sessions", "person_id")


def _make_tokens() -> None:
    op.create_table(
        "tokens",
        _column("token_sha256", sa.String(64)),
        _column("purpose", sa.String(16)),
        _column("about", sa.JSON()),
        _column("expires_at", Moment()),
        _column("used_at", Moment(), nullable=True),
        _key("tokens", "token_sha256"),
    )
    _index("tokens", "purpose")
    op.create_table(
        "attempts",
        _column("id", sa.String(16)),
        _column("subject_sha256", sa.String(64)),
        _column("address", sa.String(64)),
        _column("at", Moment()),
        _key("attempts", "id"),
    )
    _index("attempts", "address", "at")
    _index("attempts", "subject_sha256", "at")
    op.create_table(
        "memberships",
        _column("person_id", sa.String(16)),
        _column("team", sa.String(40)),
        _column("role", sa.String(16)),
        _column("granted_by", sa.String(16)),
        _column("granted_at", Moment()),
        _person("memberships"),
        _key("memberships", "person_id", "team", "role"),
    )


def _make_drafts() -> None:
    op.create_table(
        "drafts",
        _column("id", sa.String(16)),
        _column("person_id", sa.String(16)),
        _column("team", sa.String(40)),
        _column("about", sa.JSON()),
        _column("created_at", Moment()),
        _column("changed_at", Moment()),
        _column("act_id", sa.String(16)),
        _column("approved_by", sa.String(16)),
        _person("drafts"),
        _key("drafts", "id"),
    )
    _index("drafts", "person_id")
    op.create_table(
        "uploads",
        _column("id", sa.String(16)),
        _column("person_id", sa.String(16)),
        _column("team", sa.String(40)),
        _column("kind", sa.String(16)),
        _column("state", sa.String(16)),
        _column("about", sa.JSON()),
        _column("bytes", sa.BigInteger()),
        _column("created_at", Moment()),
        _person("uploads"),
        _key("uploads", "id"),
    )
    _index("uploads", "person_id")
    _index("uploads", "team")


def _make_acts() -> None:
    op.create_table(
        "acts",
        _column("id", sa.String(16)),
        _column("person_id", sa.String(16)),
        _column("environment", sa.String(40)),
        _column("verb", sa.String(32)),
        _column("about", sa.JSON()),
        _column("command", sa.Text()),
        _column("state", sa.String(16)),
        _column("created_at", Moment()),
        _column("ended_at", Moment(), nullable=True),
        _column("said", sa.JSON()),
        _person("acts"),
        _key("acts", "id"),
    )
    _index("acts", "environment", "created_at")
    _index("acts", "state")
    op.create_table(
        "waiting_entries",
        _column("id", sa.Integer(), autoincrement=True),
        _column("event", sa.String(64)),
        _column("target", sa.String(200)),
        _column("outcome", sa.String(16)),
        _column("asked_by", sa.JSON()),
        _column("about", sa.JSON()),
        _column("at", Moment()),
        _key("waiting_entries", "id"),
    )


def _make_record() -> None:
    op.create_table(
        "entries",
        _column("sequence", sa.BigInteger(), autoincrement=False),
        _column("at", Moment()),
        _column("event", sa.String(64)),
        _column("target", sa.String(200)),
        _column("outcome", sa.String(16)),
        _column("environment", sa.String(40)),
        _column("person", sa.String(200)),
        _column("instance", sa.String(32)),
        _column("hash", sa.String(64)),
        _column("body", sa.Text()),
        _key("entries", "sequence"),
    )
    _index("entries", "environment", "sequence")
    _index("entries", "event", "sequence")
    _index("entries", "instance", "sequence")
    _index("entries", "person", "sequence")
    op.create_table(
        "index_state",
        _column("name", sa.String(32)),
        _column("sequence", sa.BigInteger()),
        _column("head", sa.String(100)),
        _column("verified_at", Moment(), nullable=True),
        _key("index_state", "name"),
    )
    op.create_table(
        "reviews",
        _column("id", sa.String(16)),
        _column("kind", sa.String(16)),
        _column("period", sa.String(16)),
        _column("person_id", sa.String(16)),
        _column("said", sa.JSON()),
        _column("at", Moment()),
        _key("reviews", "id"),
    )
