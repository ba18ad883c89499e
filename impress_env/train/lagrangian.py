"""Lagrange multipliers for constrained training: a price on cost that rises while cost is over its limit.

A learner maximises `reward - multiplier * cost`; after each batch of episodes `update` takes their mean cost. Plain
dual ascent is `Multiplier(rate=…)`; the proportional and derivative terms are those of PID Lagrangian methods (Stooke,
Achiam and Abbeel, 2020, algorithm 2), which damp the swings of the integral alone. Knows nothing of learners or envs.
"""

from __future__ import annotations

from impress_env.errors import OptionError


class Multiplier:
    """One constraint's multiplier.

    Args:
        limit: The mean cost of an episode that is allowed.
        rate: What one unit of cost over the limit adds to the multiplier in each update.
        proportional: Share of the momentary excess that is added on top.
        derivative: Share of the last update's rise in cost that is added on top.
        start: The multiplier to begin with.
        highest: The multiplier never goes over this.

    Raises:
        OptionError: A number below 0, or a start over the highest.

    Example:
        >>> price = Multiplier(limit=0.1, rate=0.5)
        >>> price.update(1.1)
        0.5
        >>> price.update(0.1)
        0.5
    """

    def __init__(
        self,
        *,
        limit: float,
        rate: float,
        proportional: float = 0.0,
        derivative: float = 0.0,
        start: float = 0.0,
        highest: float = 100.0,
    ) -> None:
        told = {"limit": limit, "rate": rate, "proportional": proportional, "derivative": derivative, "start": start}
        for name, number in told.items():
            if not number >= 0:
                raise OptionError(f"{name}: expected a number from 0, found {number!r}")
        if start > highest:
            raise OptionError(f"start: expected at most highest={highest}, found {start}")
        self.limit, self.rate, self.highest = limit, rate, highest
        self.proportional, self.derivative = proportional, derivative
        self._integral = start
        self._last: float | None = None
        self.value = start

    def update(self, cost: float) -> float:
        """Take in the mean cost of the latest episodes and return the new multiplier."""
        excess = cost - self.limit
        self._integral = min(max(self._integral + self.rate * excess, 0.0), self.highest)
        rise = 0.0 if self._last is None else max(cost - self._last, 0.0)
        self._last = cost
        total = self._integral + self.proportional * excess + self.derivative * rise
        self.value = min(max(total, 0.0), self.highest)
        return self.value
