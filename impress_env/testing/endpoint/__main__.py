"""Serves a faulty endpoint in a process of its own, to be killed and started again.

The first line on standard output is the URL. SIGINT and SIGTERM end it, and the account follows as a line of JSON. A
key to demand is read from the environment variable IMPRESS_ENDPOINT_KEY.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import msgspec

from impress_env.errors import OptionError
from impress_env.testing.endpoint import KINDS, FaultyEndpoint
from impress_env.testing.endpoint.faults import Faults
from impress_env.testing.endpoint.policy import call_tools


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m impress_env.testing.endpoint", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", default=None, help="file to which every answer is added before it is sent")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--rate", type=float, default=0.0, help="share of the requests that meet a fault")
    parser.add_argument("--faults", default=",".join(KINDS), help="kinds to draw from, by commas (all)")
    parser.add_argument("--hang", type=float, default=5.0, help="seconds before a hanging connection is closed")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before every answer that takes work")
    parser.add_argument("--tools", default="", help="tools to call, by commas (all that are offered)")
    parser.add_argument("--finish", default="finish", help="the tool that ends the work; not offered: a text does")
    parser.add_argument("--after", type=int, default=5, help="turns before it is called")
    return parser.parse_args(argv)


async def _serve(options: argparse.Namespace) -> None:
    kinds = tuple(filter(None, options.faults.split(",")))
    faults = Faults(rate=options.rate, kinds=kinds, seed=options.seed, hang=options.hang)
    names = filter(None, options.tools.split(","))
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    server = FaultyEndpoint(
        call_tools(*names, finish=options.finish, after=options.after),
        faults,
        delay=options.delay,
        key=os.environ.get("IMPRESS_ENDPOINT_KEY", ""),
        log=options.log,
        port=options.port,
    )
    async with server:
        print(server.url, flush=True)
        await over.wait()
    print(msgspec.json.encode(server.account.as_dict()).decode(), flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the exit status."""
    try:
        asyncio.run(_serve(_parse(argv)))
    except (OptionError, OSError) as error:
        print(f"endpoint: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
