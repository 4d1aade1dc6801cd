"""The guardrails on what an environment stores."""

from __future__ import annotations

from stacks.case import Rule

STORAGE_ERRORS: tuple[Rule, ...] = ()
"""Rules on storage whose findings stop every act that builds."""
STORAGE_WARNINGS: tuple[Rule, ...] = ()
"""Rules on storage whose findings are told, and stop nothing."""
