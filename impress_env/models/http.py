"""What the providers share of HTTP: one request over an official SDK's transport, and its failures told apart.

The SDK gives the transport, the base URL and the headers (authentication, versions). Its own request methods are not
used: they cost 1.1 ms of CPU a call typed, 0.3 ms low-level, and the transport alone 0.15 ms. Retries are not made
here. Knows nothing of what a body says.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from impress_env.model import Failure, ModelError, Spent
from impress_env.types import ToolSchema

CAP: Final = 32_000_000  # bytes of an answer
TEXT_CAP: Final = 200_000  # characters of arguments that are read; of text one more is kept, to tell that it is over
_DEEPEST: Final = 64  # levels of arguments that are read; what nests deeper exhausts the stack of whatever walks it
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_KINDS: Final[dict[int, Failure]] = {
    401: "authentication",
    403: "authentication",
    402: "authentication",
    404: "not_found",
    408: "timeout",
    504: "timeout",
    524: "timeout",
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


_LONG: Final = (
    "context length",
    "context_length",
    "context limit",
    "context window",
    "maximum context",
    "too long",
    "max_model_len",
)
_UNPAID: Final = ("insufficient_quota", "billing_hard_limit", "credit balance", "spend_limit")  # no waiting helps


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
    """Return a tool's name as the providers allow it: up to 64 letters, digits, _ and -.

    A name that a model made up, and that stands in a history, is refused otherwise with the whole request.
    """
    name = tool.replace(".", "__")
    return name if _NAME.fullmatch(name) else _NOT_IN_NAMES.sub("_", name)[:64] or "_"


class Connection:
    """Requests to one endpoint.

    Args:
        sdk: An SDK's client: where its base URL and headers come from.
        transport: The HTTP client that it was made with.
        secrets: What no message may hold.
        timeout: Seconds for a whole exchange.
    """

    def __init__(self, sdk: Any, transport: Any, *, secrets: Sequence[str], timeout: float) -> None:
        self.base = str(sdk.base_url).rstrip("/")
        given = {**sdk.default_headers, **sdk.auth_headers}
        self._headers = {name: value for name, value in given.items() if isinstance(value, str)}
        self._transport, self._secrets, self._timeout = transport, secrets, timeout

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON object that answers a body posted below the base URL.

        Raises:
            ModelError: There is no such answer; `kind` says why.
        """
        response = await self.send("POST", f"{self.base}{path}", content=msgspec.json.encode(body))
        return decoded(response.content, kind=response.headers.get("content-type", ""), secrets=self._secrets)

    async def get(self, url: str, *, timeout: float) -> Any:
        """Return the response to a GET.

        Raises:
            ModelError: There is none.
        """
        return await self.send("GET", url, timeout=timeout)

    async def send(self, method: str, url: str, *, content: bytes | None = None, timeout: float | None = None) -> Any:
        """Return a response, an `httpx2.Response` of status 200 to 399.

        Raises:
            ModelError: There is none.
        """
        seconds = self._timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(seconds):
                response = await self._transport.request(
                    method, url, content=content, headers=self._headers, timeout=seconds
                )
        except TimeoutError:
            raise ModelError("timeout", f"no answer from {url} in {seconds:g} s; {_NEXT['timeout']}") from None
        except Exception as error:  # whatever the transport raises
            raise _told(error, url, self._secrets) from None
        if response.status_code >= 400:
            raise _refused(response.status_code, response.headers, response.content, url, self._secrets)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def transport(kind: Callable[..., Any], timeout: float, url: str | None) -> Any:
    """Return an HTTP client of an SDK's kind, for many requests at once.

    No proxy is asked for this machine, whatever the environment says: clusters set HTTP_PROXY and forget NO_PROXY.
    """
    import httpx2

    here = urlsplit(url or "").hostname in ("127.0.0.1", "localhost", "::1")
    limits = httpx2.Limits(max_connections=1024, max_keepalive_connections=1024)
    return kind(limits=limits, timeout=httpx2.Timeout(timeout, connect=20.0), trust_env=not here)


def _told(error: Exception, where: str, secrets: Sequence[str]) -> ModelError:
    """Return what a failure of the transport is."""
    chain = _chain(error)
    told = _first(masked(str(error) or str(error.__cause__) or type(error).__name__, secrets))
    broken = bool(chain & {"ServerDisconnectedError", "ClientOSError"}) and "ClientConnectorError" not in chain
    if chain & {"ConnectError", "ConnectTimeout"} and not broken:  # the aiohttp transport calls resets so as well
        text = f"no connection to {where} ({told}); {_NEXT['unreachable']}"
        return ModelError("unreachable", text, spent=Spent(requests=0))  # nothing was asked
    if "TimeoutException" in chain and not broken:
        return ModelError("timeout", f"no answer from {where}; {_NEXT['timeout']}")
    if broken or chain & {"TransportError", "DecodingError"}:
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


def _refused(status: int, headers: Mapping[str, str], content: bytes, where: str, secrets: Sequence[str]) -> ModelError:
    """Return what an answer of status 400 and above is."""
    text = _first(masked(_message(content[:100_000]), secrets))
    kind: Failure = _KINDS.get(status, "server" if status >= 500 else "bad_request")
    low = text.lower()
    todo = _NEXT.get(kind, "")
    if status in (400, 402, 403, 429) and any(word in low for word in _UNPAID):
        kind, todo = "authentication", "check the account's credit and limits, then go on with the run"
    elif status in (400, 413, 422) and any(word in low for word in _LONG) and "string too long" not in low:
        kind, todo = "too_long", _NEXT["too_long"]
    elif status == 400 and ("content_filter" in low or "content management policy" in low):
        kind, todo = "filter", ""
    todo = f"; {todo}" if todo else ""
    return ModelError(kind, f"{where} answered {status}: {text}{todo}", status=status, retry_after=_wait(headers))


def _message(content: bytes) -> str:
    """Return the message of an error's body: OpenAI's, Anthropic's, or the text of a proxy."""
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode("utf-8", "replace") or "(nothing)"
    inner = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(inner, dict):
        return str(inner)
    details = inner.get("details")
    within = details.get("error_code") if isinstance(details, dict) else None
    parts = [str(part) for part in (inner.get("type"), inner.get("code"), within, inner.get("message")) if part]
    return ": ".join(dict.fromkeys(parts)) or str(inner)


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
            seconds = float(headers["retry-after-ms"]) / 1000
            return max(0.0, min(seconds, 600.0)) if math.isfinite(seconds) else None
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
        return (raw, "", "") if _shallow(raw) else ({}, "", f"expected at most {_DEEPEST} levels of nesting")
    text = raw if isinstance(raw, str) else "" if raw is None else str(raw)
    if not text.strip():
        return {}, text, ""
    if len(text) > TEXT_CAP:
        return {}, text[:2_000], f"expected at most {TEXT_CAP} characters of arguments, found {len(text)}"
    try:
        found = json.loads(text, parse_constant=str, parse_float=_finite)
        msgspec.json.encode(found)
    except (ValueError, RecursionError) as error:  # half a surrogate pair, of a cut emoji, is no text that can be kept
        return {}, text[:2_000], f"not JSON: {error}"
    if not isinstance(found, dict):
        return {}, text[:2_000], f"expected an object, found {type(found).__name__}"
    if not _shallow(found):
        return {}, text[:2_000], f"expected at most {_DEEPEST} levels of nesting"
    return found, text, ""


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: {text[:40]}")
    return value


def _shallow(value: object) -> bool:
    """Return whether a value nests no deeper than `_DEEPEST`."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)  # type: ignore[attr-defined]
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return True
    return False


def whole(value: object) -> int:
    """Return a count of tokens, 0 for what is none."""
    return value if isinstance(value, int) and value > 0 else 0
