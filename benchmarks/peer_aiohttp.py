"""What a plain aiohttp loop takes for the load of `bench_harness`, as one JSON line.

Messages in a list, `session.post(json=…)`, the called tool's output appended: no world, no record, no retry, no limit
but a semaphore. It is what anyone would write first, and less than any harness has to do. The output of the tool is
a constant. Run by `bench_harness`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

from benchmarks import harness_load, measure
from benchmarks.harness_load import Setting


async def episode(session: aiohttp.ClientSession, setting: Setting) -> None:
    talk = setting.talk
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": talk.system},
        {"role": "user", "content": talk.task},
    ]
    while True:
        body = {"model": "mock", "messages": messages, "tools": talk.tools}
        async with session.post(f"{setting.url}/chat/completions", json=body) as response:
            response.raise_for_status()
            message = (await response.json())["choices"][0]["message"]
        messages.append(message)
        call = message["tool_calls"][0]
        if call["function"]["name"] != harness_load.READ:
            return
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": talk.result})


async def run(setting: Setting) -> None:
    slots = asyncio.Semaphore(harness_load.AT_ONCE)
    connector = aiohttp.TCPConnector(limit=harness_load.AT_ONCE)

    async def one(session: aiohttp.ClientSession) -> None:
        async with slots:
            await episode(session, setting)

    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(setting.episodes):
            group.create_task(one(session))


def main() -> None:
    setting = harness_load.told("Run the load of bench_harness through a plain aiohttp loop.")
    measure.emit(harness_load.measured(lambda: asyncio.run(run(setting)), episodes=setting.episodes))


if __name__ == "__main__":
    main()
