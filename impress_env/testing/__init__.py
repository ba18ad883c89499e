"""Shared fakes and contract tests for our own tests and for third parties' toolkits, scenarios, agents and models."""

from __future__ import annotations

from impress_env.testing.bench import Bench, bench
from impress_env.testing.endpoint import Account, Faults, FaultyEndpoint

__all__ = ["Account", "Bench", "Faults", "FaultyEndpoint", "bench"]
