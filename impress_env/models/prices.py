"""What models cost, from a dated data file: a model that is not in it has an unknown cost, which is not zero.

Money is counted in whole nano-dollars, so that sums are exact.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from impress_env.errors import OptionError
from impress_env.model import Usage

FILE: Final = Path(__file__).with_name("prices.yaml")
_SNAPSHOT: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|latest)$")


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Nano-dollars a token: of input, of input read from the endpoint's cache or written to it, of output."""

    input: int
    output: int
    cached: int
    cache_write: int
    as_of: str


def price_of(provider: str, model: str) -> Price | None:
    """Return a model's price, of the model itself or of what a dated snapshot is named after; None if unknown."""
    listed = _listed().get(provider, {})
    return listed.get(model) or listed.get(_SNAPSHOT.sub("", model))


def nano_usd(price: Price | None, usage: Usage) -> int | None:
    """Return what some usage costs, in nano-dollars, or None where the price is unknown."""
    if price is None:
        return None
    plain = usage.input - usage.cached - usage.cache_write
    return (
        max(plain, 0) * price.input
        + usage.cached * price.cached
        + usage.cache_write * price.cache_write
        + usage.output * price.output
    )


def parse_price(text: str) -> Price:
    """Return a price given as "INPUT,OUTPUT[,CACHED]", US dollars a million tokens.

    Raises:
        OptionError: It is not that.
    """
    try:
        parts = [Decimal(part) for part in text.split(",")]
    except InvalidOperation:
        parts = []
    if not 2 <= len(parts) <= 3 or any(not part.is_finite() or part < 0 for part in parts):
        raise OptionError(f"price: expected INPUT,OUTPUT[,CACHED] in USD a million tokens, found {text!r}")
    nano = [round(part * 1000) for part in parts]
    return Price(
        input=nano[0], output=nano[1], cached=nano[2] if len(nano) == 3 else nano[0], cache_write=nano[0], as_of="given"
    )


@cache
def _listed() -> dict[str, dict[str, Price]]:
    data: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found: dict[str, dict[str, Price]] = {}
    for provider, models in data["usd_per_million_tokens"].items():
        found[provider] = {}
        for model, entry in models.items():
            nano = {key: round(Decimal(str(entry[key])) * 1000) for key in ("input", "cached", "output")}
            write = round(Decimal(str(entry.get("cache_write", entry["input"]))) * 1000)
            found[provider][str(model)] = Price(**nano, cache_write=write, as_of=str(data["as_of"]))
    return found
