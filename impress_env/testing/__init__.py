"""Shared fakes and contract tests for our own tests and for third parties' toolkits, scenarios and agents."""

from __future__ import annotations

from impress_env.testing.bench import Bench, bench

__all__ = ["Bench", "bench"]
