"""What goes wrong at an endpoint, and when.

Whether a request meets a fault is drawn from the seed, the request's body and how often that body came before: the
same seed and requests meet the same faults in whatever order they arrive, and a request sent again meets another draw.
Knows nothing of protocols.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from impress_env.errors import OptionError
from impress_env.rng import stream

FaultKind = Literal[
    "rate_limit",  # 429 with Retry-After in seconds
    "rate_limit_ms",  # 429 with retry-after-ms
    "rate_limit_bare",  # 429, nothing said of when
    "server_error",  # 500
    "overloaded",  # OpenAI's 503, Anthropic's 529
    "echo",  # 502 of a proxy that shows the request's headers, key and all
    "reset",  # connection aborted before any byte
    "reset_late",  # connection aborted after the headers and half of the body
    "hang",  # nothing for a while, then closed
    "cut_body",  # closed before the Content-Length (stream: before the last chunk) is there
    "cut_stream",  # a stream that ends in order but without its end; not streamed: chunks without the last one
    "invalid_json",  # 200, application/json, and none
    "html",  # 200 and a proxy's page
    "broken_arguments",  # a call whose arguments are no JSON
    "unknown_tool",  # a call of a tool that was not offered
    "duplicate_ids",  # two calls of one id
    "empty_choices",  # 200 with usage and nothing else
    "no_usage",  # 200 without usage
    "huge",  # 5 MB of text
    "length",  # cut off by the limit of tokens, in the middle of a call
    "content_filter",  # stopped by a filter
    "refusal",  # refused by the model
]
KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
REFUSING: Final[frozenset[str]] = frozenset(
    {"rate_limit", "rate_limit_ms", "rate_limit_bare", "server_error", "overloaded", "echo", "reset"}
)  # the endpoint did no work
UNTOLD: Final[frozenset[str]] = frozenset(
    {"reset_late", "hang", "cut_body", "cut_stream", "invalid_json", "html", "no_usage"}
)  # it worked, and its usage does not arrive


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """Which faults are met, and how often.

    Args:
        rate: Share of the requests that meet one, from 0 to 1.
        kinds: Those to draw from, all alike.
        seed: Of the draws.
        hang: Seconds without a byte before a hanging connection is closed.
        retry_after: Seconds that a 429 with a header asks to wait.

    Raises:
        OptionError: A kind is unknown, there is none, or a number is out of range.
    """

    rate: float = 0.0
    kinds: tuple[FaultKind, ...] = KINDS
    seed: int = 0
    hang: float = 5.0
    retry_after: float = 0.05

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not self.kinds:
            raise OptionError(f"faults: expected some of {', '.join(KINDS)}; found {', '.join(unknown) or 'none'}")
        if not 0.0 <= self.rate <= 1.0 or self.hang < 0 or self.retry_after < 0:
            raise OptionError(
                f"faults: expected a rate from 0 to 1 and no negative seconds, found rate={self.rate}, "
                f"hang={self.hang}, retry_after={self.retry_after}"
            )

    def draw(self, body: str, before: int) -> FaultKind | None:
        """Return the fault of a request, or None.

        Args:
            body: Hash of the request's body.
            before: How often that body came before.
        """
        if not self.rate:
            return None
        rng = stream(self.seed, "fault", body, str(before))
        return rng.choice(self.kinds) if rng.random() < self.rate else None
