"""A mock of an OpenAI chat-completions server: every request is answered after a fixed time.

    python -m benchmarks.mock_model --call tickets__search --end work__finish --end-arguments '{"report": "Done."}'

What it answers follows from the number of assistant turns in the request alone: a call of one tool in each turn but
the last, and a call that ends the episode in the last. It binds 127.0.0.1 on a free port, prints its URL as a JSON
line, serves until its input is closed, and prints what it served as another. It promises to cost little (the answers
are made beforehand, and of a request only its length and its turns are looked at) and to tell how late it was. It
needs the standard library alone and knows nothing of who asks.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from benchmarks import harness_load

TURN = (b'"role":"assistant"', b'"role": "assistant"')
"""An assistant's message, as the JSON encoders write it; within a text the quotes would stand behind backslashes."""
PATH = b"/chat/completions"


def answers(call: str, end: str, end_arguments: str, turns: int) -> list[bytes]:
    """The whole answers, heads included, one for each turn."""
    calls = [(call, "{}")] * (turns - 1) + [(end, end_arguments)]
    return [_answer(200, _completion(number, *named)) for number, named in enumerate(calls, 1)]


def _completion(number: int, name: str, arguments: str) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": "mock",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}],
        "usage": {"prompt_tokens": 9_000 + 200 * number, "completion_tokens": 20, "total_tokens": 9_020 + 200 * number},
    }


def _answer(status: int, data: dict[str, object]) -> bytes:
    body = json.dumps(data).encode()
    reason = "OK" if status == 200 else "Bad Request"
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


REFUSAL = _answer(400, {"error": {"message": f"expected POST …{PATH.decode()} with a Content-Length", "type": "mock"}})


class Mock:
    """What all connections share: the answers, and the account of what was served."""

    def __init__(self, ready: list[bytes], seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.ready, self.seconds, self.loop = ready, seconds, loop
        self.by_turn = [0] * len(ready)
        self.refused = self.waiting = self.most = self.connections = 0
        self.late = self.latest = 0.0
        self.bytes = 0

    def account(self) -> dict[str, object]:
        """What was served: requests by turn, the most at once, and how late the answers left."""
        served = sum(self.by_turn)
        return {
            "by_turn": self.by_turn,
            "refused": self.refused,
            "most_at_once": self.most,
            "connections": self.connections,
            "request_bytes": round(self.bytes / max(1, served)),
            "late_ms": self.late * 1_000 / max(1, served),
            "latest_ms": self.latest * 1_000,
            "cpu_ms": time.process_time() * 1_000 / max(1, served),
        }


class Connection(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, mock: Mock) -> None:
        self._mock = mock
        self._held = bytearray()
        self._body = self._need = 0  # where the body of the request that arrives begins and ends; 0 before its head
        self._asks = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._mock.connections += 1

    def data_received(self, data: bytes) -> None:
        self._held += data
        while True:
            if not self._need and not self._head():
                return
            if len(self._held) < self._need:
                return
            self._request()

    def _head(self) -> bool:
        """Read the head of a request; false until it is whole."""
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._held[:end]).split(b"\r\n")
        method, path, _ = lines[0].split(b" ", 2)
        lengths = [line for line in lines if line[:15].lower() == b"content-length:"]
        self._asks = method == b"POST" and path.endswith(PATH) and bool(lengths)
        self._body = end + 4
        self._need = self._body + (int(lengths[0][15:]) if lengths else 0)
        return True

    def _request(self) -> None:
        """Take a whole request and have it answered when its time has come."""
        mock = self._mock
        if self._asks:
            turn = min(sum(self._held.count(form, self._body, self._need) for form in TURN), len(mock.ready) - 1)
            mock.by_turn[turn] += 1
            mock.bytes += self._need - self._body
            mock.waiting += 1
            mock.most = max(mock.most, mock.waiting)
            due = mock.loop.time() + mock.seconds
            mock.loop.call_at(due, self._send, mock.ready[turn], due)
        else:
            mock.refused += 1
            self._transport.write(REFUSAL)
        del self._held[: self._need]
        self._body = self._need = 0

    def _send(self, answer: bytes, due: float) -> None:
        mock = self._mock
        mock.waiting -= 1
        late = mock.loop.time() - due
        mock.late += late
        mock.latest = max(mock.latest, late)
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(ready: list[bytes], seconds: float) -> None:
    """Serve until the input of this process is closed."""
    loop = asyncio.get_running_loop()
    mock = Mock(ready, seconds, loop)
    server = await loop.create_server(lambda: Connection(mock), "127.0.0.1", 0, backlog=1_024)
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}/v1"}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    print(json.dumps(mock.account()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve OpenAI chat completions that were made beforehand.")
    parser.add_argument("--call", default=harness_load.READ, help="the tool called in all turns but the last")
    parser.add_argument("--end", required=True, help="the tool called in the last turn")
    parser.add_argument("--end-arguments", default="{}", help="its arguments as JSON text")
    parser.add_argument("--turns", type=int, default=harness_load.CALLS)
    parser.add_argument("--seconds", type=float, default=harness_load.ANSWER, help="from a request to its answer")
    options = parser.parse_args()
    ready = answers(options.call, options.end, options.end_arguments, options.turns)
    asyncio.run(serve(ready, options.seconds))


if __name__ == "__main__":
    main()
