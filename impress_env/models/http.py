"""What the providers share of HTTP: one request through an official SDK's client, and its failures told apart.

Both SDKs grew from one generator, so that their clients and errors have one shape. The body is encoded here and the
answer decoded here: the SDKs' typed methods cost five times the CPU. Retries are not made here. Knows nothing of what
a body says.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec

from impress_env.model import Failure, ModelError
from impress_env.types import ToolSchema

CAP: Final = 32_000_000  # bytes of an answer
TEXT_CAP: Final = 200_000  # characters of arguments that are read; of text one more is kept, to tell that it is over
_KINDS: Final[dict[int, Failure]] = {
    401: "authentication",
    403: "authentication",
    402: "authentication",
    404: "not_found",
    408: "timeout",
    409: "server",
    413: "too_long",
    425: "server",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
_NEXT: Final[dict[str, str]] = {
    "authentication": "check the key and what it may use",
    "not_found": "check the model's name and the endpoint's URL",
    "too_long": "use a model or server with a longer context, or fewer tools",
    "unreachable": "check that the server runs and the URL is right",
    "timeout": "raise --timeout, or lower --concurrency",
}


class Client(Protocol):
    """The part of an SDK's asynchronous client that is used."""

    base_url: Any

    async def post(self, path: str, *, cast_to: Any, content: Any, options: Any) -> Any:
        """Send a request."""

    async def get(self, path: str, *, cast_to: Any, options: Any) -> Any:
        """Send a request."""

    async def close(self) -> None:
        """Close connections."""


def encode(body: dict[str, Any]) -> bytes:
    """Return a request's body. `msgspec.Raw` values stand as they are."""
    return msgspec.json.encode(body)


class Tools:
    """The tools of the last requests, encoded once: they are the same objects in every turn of a family."""

    def __init__(self, form: Callable[[ToolSchema], dict[str, Any]]) -> None:
        self._form = form
        self._known: dict[int, tuple[Sequence[ToolSchema], msgspec.Raw]] = {}

    def encoded(self, tools: Sequence[ToolSchema]) -> msgspec.Raw:
        """Return the tools as the provider writes them."""
        known = self._known.get(id(tools))
        if known is not None and known[0] is tools:
            return known[1]
        raw = msgspec.Raw(msgspec.json.encode([self._form(tool) for tool in tools]))
        if len(self._known) >= 64:
            self._known.clear()
        self._known[id(tools)] = (tools, raw)
        return raw


def wire(tool: str) -> str:
    """Return a tool's name as the providers allow it: letters, digits, _ and -."""
    return tool.replace(".", "__")


async def post(client: Client, path: str, body: dict[str, Any], *, secrets: Sequence[str], timeout: float) -> Any:
    """Send a request and return the decoded answer, a JSON object.

    Args:
        client: An SDK's client, made with `max_retries=0`.
        path: Below the client's base URL.
        body: What `encode` takes.
        secrets: What no message may hold.
        timeout: Seconds for the whole exchange.

    Raises:
        ModelError: There is no such answer; `kind` says why.
    """
    import httpx2

    content = encode(body)
    options = {"headers": {"Content-Type": "application/json"}, "timeout": httpx2.Timeout(timeout, connect=20.0)}

    async def ask() -> Any:
        return await client.post(path, cast_to=httpx2.Response, content=content, options=options)

    where = f"{str(client.base_url).rstrip('/')}{path}"
    response = await guarded(ask, where=where, secrets=secrets, timeout=timeout)
    return decoded(response.content, kind=response.headers.get("content-type", ""), secrets=secrets)


async def guarded(ask: Callable[[], Awaitable[Any]], *, where: str, secrets: Sequence[str], timeout: float) -> Any:
    """Return what a request answers, every failure told as a `ModelError` without secrets or tracebacks of an SDK."""
    try:
        async with asyncio.timeout(timeout):
            return await ask()
    except TimeoutError:
        raise ModelError("timeout", f"no answer from {where} in {timeout:g} s; {_NEXT['timeout']}") from None
    except ModelError:
        raise
    except Exception as error:
        raise _told(error, where, secrets) from None


def _told(error: Exception, where: str, secrets: Sequence[str]) -> ModelError:
    status = getattr(error, "status_code", 0)
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(status, int) and status >= 400:
        return _status(status, error, where, secrets)
    chain = _chain(error)
    told = _first(masked(str(error.__cause__ or error), secrets))
    broken = bool(chain & {"ServerDisconnectedError", "ClientOSError"}) and "ClientConnectorError" not in chain
    if chain & {"ConnectError", "ConnectTimeout"} and not broken:  # the aiohttp transport calls resets so as well
        return ModelError("unreachable", f"no connection to {where} ({told}); {_NEXT['unreachable']}")
    if "APITimeoutError" in names and not broken:
        return ModelError("timeout", f"no answer from {where}; {_NEXT['timeout']}")
    if broken or "APIConnectionError" in names or chain & {"ReadError", "RemoteProtocolError", "WriteError"}:
        return ModelError("disconnected", f"the connection to {where} broke: {told}")
    return ModelError("bad_request", f"{where}: {type(error).__name__}: {told}")


def _chain(error: BaseException) -> set[str]:
    """Return the names of all classes of an error and of what caused it."""
    found: set[str] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is not None and len(found) < 200:
            found.update(kind.__name__ for kind in type(link).__mro__)
            links += [link.__cause__, link.__context__]
    return found


def _status(status: int, error: Exception, where: str, secrets: Sequence[str]) -> ModelError:
    headers = getattr(getattr(error, "response", None), "headers", {})
    body = getattr(error, "body", None)
    text = _first(masked(_message(body) or str(error), secrets))
    kind: Failure = _KINDS.get(status, "server" if status >= 500 else "bad_request")
    low = text.lower()
    if status in (400, 413, 422) and any(
        word in low for word in ("context length", "context_length", "maximum context", "too long", "max_model_len")
    ):
        kind = "too_long"
    elif status == 400 and ("content_filter" in low or "content management policy" in low):
        kind = "filter"
    elif status == 429 and "insufficient_quota" in low:
        kind = "authentication"
    todo = f"; {_NEXT[kind]}" if kind in _NEXT else ""
    return ModelError(kind, f"{where} answered {status}: {text}{todo}", status=status, retry_after=_wait(headers))


def _message(body: object) -> str:
    """Return the message of an error's body: OpenAI's, Anthropic's, or the text of a proxy."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            parts = [str(inner[key]) for key in ("type", "code", "message") if inner.get(key)]
            return ": ".join(dict.fromkeys(parts))
        return str(inner)
    return str(body or "")


def _first(text: str) -> str:
    return " ".join(text.split())[:400]


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return a text without any of the secrets."""
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    return text


def _wait(headers: Any) -> float | None:
    """Return the seconds that a refusal asks to wait, at most ten minutes, or None."""
    try:
        if headers.get("retry-after-ms"):
            return min(float(headers["retry-after-ms"]) / 1000, 600.0)
        text = headers.get("retry-after")
        if not text:
            return None
        if text.replace(".", "", 1).isdigit():
            return min(float(text), 600.0)
        date = email.utils.parsedate_to_datetime(text)
        return max(0.0, min(date.timestamp() - time.time(), 600.0))
    except (TypeError, ValueError):
        return None


def decoded(content: bytes, *, kind: str = "", secrets: Sequence[str] = ()) -> dict[str, Any]:
    """Return an answer's JSON object.

    Raises:
        ModelError: It is none, or longer than `CAP`; nobody knows then what the endpoint counted.
    """
    from impress_env.model import Spent

    if len(content) > CAP:
        raise ModelError("invalid_response", f"an answer of {len(content)} bytes, expected at most {CAP}",
                         spent=Spent(unknown=1))  # fmt: skip
    try:
        data = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        start = _first(masked(content[:10_000].decode("utf-8", "replace"), secrets))[:120]
        raise ModelError("invalid_response", f"expected JSON, found {kind or 'a body'} that begins {start!r} ({error})",
                         spent=Spent(unknown=1)) from None  # fmt: skip
    if not isinstance(data, dict):
        raise ModelError("invalid_response", f"expected an object, found {type(data).__name__}", spent=Spent(unknown=1))
    return data


def read_arguments(raw: object) -> tuple[dict[str, Any], str, str]:
    """Return (arguments, the text as written, problem or "") of a call whose arguments are JSON text or an object."""
    if isinstance(raw, dict):
        return raw, "", ""
    text = raw if isinstance(raw, str) else "" if raw is None else str(raw)
    if not text.strip():
        return {}, text, ""
    if len(text) > TEXT_CAP:
        return {}, text[:2_000], f"expected at most {TEXT_CAP} characters of arguments, found {len(text)}"
    try:
        found = json.loads(text, parse_constant=str)
    except (ValueError, RecursionError) as error:
        return {}, text[:2_000], f"not JSON: {error}"
    if not isinstance(found, dict):
        return {}, text[:2_000], f"expected an object, found {type(found).__name__}"
    return found, text, ""


def whole(value: object) -> int:
    """Return a count of tokens, 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0
