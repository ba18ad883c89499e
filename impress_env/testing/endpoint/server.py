"""The server: connections, faults on the wire, and the account of both.

It reads HTTP/1.1 itself, because half of the faults are none that a web framework can be asked for. One request at a
time a connection, kept open in between. Serves 127.0.0.1 and nothing else; keys are compared and never kept.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from impress_env.errors import ImpressError
from impress_env.model import Usage
from impress_env.testing.endpoint import answers
from impress_env.testing.endpoint.account import Account, Answer, Log
from impress_env.testing.endpoint.faults import REFUSING, UNTOLD, FaultKind, Faults
from impress_env.testing.endpoint.policy import Asked, Flavour, Policy, call_tools
from impress_env.testing.endpoint.protocol import (
    PATHS,
    BadRequest,
    body_hash,
    error_body,
    models_body,
    read_request,
)

_HEAD_CAP: Final = 65_536
_BODY_CAP: Final = 64_000_000
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    529: "Overloaded",
}
_JSON: Final = "application/json"
_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><center><h1>502 Bad Gateway</h1></center><hr><center>proxy</center></body></html>\n"
)


class _Request(msgspec.Struct, frozen=True):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class FaultyEndpoint:
    """A model endpoint in this process, for the time of a `with` block.

    Args:
        policy: What is answered; by default `call_tools()`.
        faults: What goes wrong; by default nothing.
        delay: Seconds before every answer that takes work.
        key: The API key that is demanded; "" takes any.
        log: A file to which every answer is added before it is sent.
        port: 0 takes a free one.
    """

    def __init__(
        self,
        policy: Policy | None = None,
        faults: Faults | None = None,
        *,
        delay: float = 0.0,
        key: str = "",
        log: str | os.PathLike[str] | None = None,
        port: int = 0,
    ) -> None:
        self.policy = policy if policy is not None else call_tools()
        self.faults = faults if faults is not None else Faults()
        self.delay, self.account = delay, Account()
        self._key, self._log_path, self._port = key, log, port
        self._log: Log | None = None
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Where it serves, without /v1."""
        if self._server is None:
            raise ImpressError("the endpoint does not run; use it inside `async with`")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> FaultyEndpoint:
        if self._log_path is not None:
            self._log = Log(Path(self._log_path))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, breaking what is under way.

        Raises:
            Exception: What the policy raised, if nothing else did.
        """
        assert self._server is not None
        self._server.close()
        for connection in self._open:
            connection.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # of connections lost just now too
        await self._server.wait_closed()
        self._server = None
        if self._log is not None:
            self._log.close()
            self._log = None
        if error is None and self._failure is not None:
            raise self._failure

    def admits(self, request: _Request) -> bool:
        """Return whether a request shows the key that is demanded."""
        shown = request.headers.get("x-api-key", "") or request.headers.get("authorization", "")[len("Bearer ") :]
        return not self._key or hmac.compare_digest(shown.encode(), self._key.encode())

    def failed(self, error: BaseException) -> None:
        """Keep the first failure of our own or of the policy's, to be raised at the end."""
        self._failure = self._failure or error

    def settle(self, answer: Answer) -> None:
        """Count an answer, on disk first."""
        if self._log is not None:
            self._log.write(answer)
        self.account.settle(answer)


class _Connection(asyncio.Protocol):
    """One client's connection: collects a request, answers it, and takes the next."""

    def __init__(self, endpoint: FaultyEndpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._continued = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._endpoint._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._endpoint._open.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None and not self._transport.is_closing():
            self._next()

    def abort(self) -> None:
        """Break the connection."""
        self._transport.abort()

    def _next(self) -> None:
        """Begin to answer the next request, if all of it is there."""
        request = self._take()
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._serve(request))
            self._endpoint._tasks.add(self._task)
            self._task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._endpoint._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._endpoint.failed(error)
            self._transport.abort()
        elif not self._transport.is_closing():
            self._next()

    def _take(self) -> _Request | None:
        """Return the request at the head of the buffer, or None where it is not whole."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_CAP:
                self._transport.abort()
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts = first.split(" ")
        length = headers.get("content-length", "0")
        if len(parts) != 3 or not length.isdigit() or "transfer-encoding" in headers or int(length) > _BODY_CAP:
            self._send(413 if length.isdigit() and int(length) > _BODY_CAP else 411, b"{}")
            self._transport.close()
            return None
        size = end + 4 + int(length)
        if len(self._buffer) < size:
            if headers.get("expect", "").lower() == "100-continue" and not self._continued:
                self._continued = True
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        request = _Request(parts[0], parts[1].partition("?")[0], headers, bytes(self._buffer[end + 4 : size]))
        del self._buffer[:size]
        self._continued = False
        return request

    async def _serve(self, request: _Request) -> None:
        await self._route(request)
        if request.headers.get("connection", "").lower() == "close":
            self._transport.close()

    async def _route(self, request: _Request) -> None:
        flavour = PATHS.get(request.path)
        if flavour is not None and request.method == "POST":
            await self._complete(flavour, request)
        elif flavour is not None:
            self._refuse(request, 405, f"{request.method} is not allowed here; use POST")
        elif request.path == "/v1/models" and request.method == "GET":
            if self._endpoint.admits(request):
                self._send(200, models_body())
            else:
                self._refuse_key(request)
        elif request.path == "/health" and request.method == "GET":
            self._send(200, b"{}")
        elif request.path == "/account" and request.method == "GET":
            self._send(200, msgspec.json.encode(self._endpoint.account.as_dict()))
        else:
            self._refuse(request, 404, f"expected one of {', '.join(PATHS)} or /v1/models, found {request.path}")

    def _refuse_key(self, request: _Request) -> None:
        self._refuse(request, 401, "Incorrect API key provided: expected the key of this endpoint, found another")

    def _refuse(self, request: _Request, status: int, message: str, headers: str = "") -> None:
        messages = request.path == "/v1/messages" or "anthropic-version" in request.headers
        self._send(status, error_body(messages, status, message), headers=headers)

    async def _complete(self, flavour: Flavour, request: _Request) -> None:
        """Answer a request for a completion and count what became of it, exactly once."""
        endpoint, account = self._endpoint, self._endpoint.account
        digest = body_hash(request.body)
        before = account.arrive(flavour, digest)
        try:
            refusal = 0 if endpoint.admits(request) else 401
            asked = None if refusal else read_request(flavour, request.body, digest)
        except BadRequest as error:
            account.refuse()
            self._refuse(request, 400, str(error))
            return
        if asked is None:
            account.refuse()
            self._refuse_key(request)
            return
        fault = endpoint.faults.draw(digest, before)
        if fault is not None:
            account.faults[fault] += 1
            if fault in REFUSING:
                account.refuse()
                self._refuse_by(fault, request)
                return
        await self._work(asked, fault)

    def _refuse_by(self, fault: FaultKind, request: _Request) -> None:
        wait = self._endpoint.faults.retry_after
        messages = request.path == "/v1/messages"
        match fault:
            case "rate_limit":
                self._refuse(request, 429, "Rate limit reached for requests", f"Retry-After: {wait:g}\r\n")
            case "rate_limit_ms":
                self._refuse(request, 429, "Rate limit reached for requests", f"retry-after-ms: {wait * 1000:g}\r\n")
            case "rate_limit_bare":
                self._refuse(request, 429, "Rate limit reached for requests")
            case "overloaded":
                self._refuse(request, 529 if messages else 503, "Overloaded")
            case "echo":
                shown = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
                self._send(502, f"upstream failed; the request was\n{shown}".encode(), kind="text/plain")
            case "reset":
                self._reset()
            case _:
                self._refuse(request, 500, "The server had an error while processing your request")

    async def _work(self, asked: Asked, fault: FaultKind | None) -> None:
        """Answer a request that takes work; a client that leaves before the answer is sent does not take it back."""
        endpoint = self._endpoint
        usage, answer = Usage(), None
        try:
            reply = answers.faulted(asked, endpoint.policy(asked), fault)
            usage = answers.count(asked, reply)
            if wait := endpoint.faults.hang if fault == "hang" else endpoint.delay:
                await asyncio.sleep(wait)
            if not self._transport.is_closing():
                tell = fault != "no_usage" and _tells(asked)
                empty = fault == "empty_choices"
                answer = answers.Answered(asked=asked, reply=reply, usage=usage, tell=tell, empty=empty)
        finally:
            complete = answer is not None and (fault not in UNTOLD or fault == "no_usage")
            endpoint.settle(
                Answer(
                    flavour=asked.flavour,
                    body=asked.digest,
                    usage=usage,
                    fault=fault or "",
                    complete=complete,
                    told=complete and answer is not None and answer.tell,
                    kept=complete and fault != "empty_choices",
                )
            )
        if answer is not None:
            self._answer(answer, fault)

    def _answer(self, answer: answers.Answered, fault: FaultKind | None) -> None:
        """Write an answer as the fault lets it."""
        if fault == "hang":
            self._transport.close()
        elif fault == "html":
            self._send(200, _PAGE, kind="text/html")
        elif answer.asked.stream:
            self._stream(answer, fault)
        elif fault == "invalid_json":
            body = answers.whole(answer)
            self._send(200, body[: len(body) // 2])
        elif fault in ("cut_body", "reset_late"):
            body = answers.whole(answer)
            self._transport.write(_head(200, len(body)) + body[: len(body) // 2])
            self._break(fault)
        elif fault == "cut_stream":
            body = answers.whole(answer)
            self._transport.write(_head(200, None) + _chunk(body[: len(body) // 2]))
            self._break(fault)
        else:
            self._send(200, answers.whole(answer))

    def _stream(self, answer: answers.Answered, fault: FaultKind | None) -> None:
        found = answers.events(answer)
        over = _chunk(b"")
        if fault in ("cut_stream", "cut_body", "reset_late"):
            found = found[: max(1, (len(found) - 2) // 2)]
            over = over if fault == "cut_stream" else b""
        elif fault == "invalid_json":
            found[-2] = b"data: " + found[-2][6 : len(found[-2]) // 2] + b"\n\n"
        self._transport.write(_head(200, None, "text/event-stream") + b"".join(map(_chunk, found)) + over)
        if not over:
            self._break(fault)

    def _break(self, fault: FaultKind | None) -> None:
        """End the connection in mid-answer: by a reset, or in order."""
        if fault == "reset_late":
            self._reset()
        else:
            self._transport.close()

    def _reset(self) -> None:
        """Close so that the client is told of a reset (RST), not of an end."""
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._transport.abort()

    def _send(self, status: int, body: bytes, *, kind: str = _JSON, headers: str = "") -> None:
        self._transport.write(_head(status, len(body), kind, headers) + body)


def _tells(asked: Asked) -> bool:
    """Return whether usage is told: a stream of chat completions tells it to those who ask."""
    if asked.flavour != "chat" or not asked.stream:
        return True
    options = asked.body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _head(status: int, length: int | None, kind: str = _JSON, headers: str = "") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    text = f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\n{size}\r\n{headers}\r\n"
    return text.encode("latin-1")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
