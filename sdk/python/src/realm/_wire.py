"""From HTTP to answers and errors: what both clients do with a response's head and body. No IO."""

from __future__ import annotations

import contextlib
import email.utils
import json
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TypeVar

import httpx

from realm import _parse
from realm._document import Document
from realm._settings import CONNECT_TIMEOUT
from realm._sse import SseParser
from realm._version import __version__
from realm.errors import (
    APIConnectionError,
    APITimeoutError,
    ProtocolError,
    RealmError,
    StreamCutError,
    StreamError,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from realm._calls import Call
    from realm._settings import Settings
    from realm.answers import Token, Usage

T = TypeVar("T")
MAX_ANSWER_BYTES = 256 * 1024 * 1024
"""Longest whole answer, in bytes."""
MAX_QUOTED_CHARACTERS = 200
"""How much of an error's body is quoted when it is not in the API's form."""
_DONE = "[DONE]"


@dataclass(frozen=True)
class Head:
    """What a response says before its body."""

    status: int
    request_id: str | None
    retry_after: float | None
    content_type: str

    @classmethod
    def of(cls, response: httpx.Response) -> Head:
        """From a response whose body may not be there yet."""
        headers = response.headers
        return cls(
            response.status_code,
            headers.get("x-request-id"),
            retry_after(headers.get("retry-after"), datetime.now(timezone.utc)),
            headers.get("content-type", "").partition(";")[0].strip().lower(),
        )


class Body:
    """The pieces of a body, up to a bound."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def push(self, chunk: bytes) -> None:
        """One more piece."""
        self._bytes += chunk
        if len(self._bytes) > MAX_ANSWER_BYTES:
            raise ProtocolError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")

    def whole(self) -> bytes:
        """All pieces."""
        return bytes(self._bytes)


class EventDecoder:
    """Bytes of a stream to tokens; knows whether the stream has come to its end."""

    def __init__(self, call: Call[list[Token]], head: Head) -> None:
        self._parse = call.parse
        self._request_id = head.request_id
        self._sse = SseParser()
        self.done = False
        self.usage: Usage | None = None
        if head.content_type != "text/event-stream":
            found = head.content_type or "nothing"
            raise ProtocolError(f"a stream of events was asked for, and {found} came", request_id=head.request_id)

    def push(self, chunk: bytes) -> Iterator[Token]:
        """The tokens that are whole now."""
        for data in self._sse.push(chunk):
            if self.done:
                return
            if data == _DONE:
                self.done = True
                return
            yield from self._event(Document.read(data, self._request_id))

    def finish(self) -> None:
        """Checks that the stream came to its end, rather than to the end of its connection."""
        if not self.done:
            raise self.broken()

    def broken(self) -> StreamCutError:
        """The error of a stream that was cut."""
        return StreamCutError("the stream was cut before its end", request_id=self._request_id)

    def _event(self, document: Document) -> list[Token]:
        if document.has("error"):
            raise _stream_failure(document)
        if document.has("usage"):
            self.usage = _parse.usage(document.child("usage"))
        return self._parse(document)


def request(call: Call[T], settings: Settings, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
    """The request as httpx sends it."""
    headers = {"user-agent": f"realm-python/{__version__}", **settings.headers}
    if settings.api_key is not None:
        headers["authorization"] = f"Bearer {settings.api_key}"
    if call.request_id is not None:
        headers["x-request-id"] = call.request_id
    content = None
    if call.body is not None:
        headers["content-type"] = "application/json"
        content = json.dumps(call.body, ensure_ascii=False, allow_nan=False).encode()
    seconds = settings.timeout if call.timeout is None else call.timeout
    timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIMEOUT))
    url = settings.base_url + call.path
    return http.build_request(call.method, url, headers=headers, content=content, timeout=timeout)


def answer(call: Call[T], head: Head, body: bytes) -> T:
    """The answer, or the error that the status and the body tell."""
    if not httpx.codes.is_success(head.status):
        raise refusal(head, body)
    return call.parse(Document.read(body, head.request_id))


def refusal(head: Head, body: bytes) -> RealmError:
    """The error of an answer whose status is not 2xx; also when something else than Realm answered."""
    said = _error_object(body, head)
    return error_class(head.status, said.get("code"))(
        said.get("message") or _quoted(head, body),
        status=head.status,
        code=said.get("code"),
        param=said.get("param"),
        type=said.get("type"),
        request_id=head.request_id,
        retry_after=head.retry_after,
    )


@contextlib.contextmanager
def translated(decoder: EventDecoder | None = None) -> Generator[None, None, None]:
    """Turns httpx's errors into ours; with a decoder, a lost connection is a cut stream."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        raise APIConnectionError(f"no connection in time: {error}") from error
    except httpx.TimeoutException as error:
        raise APITimeoutError("the server sent nothing for as long as the timeout allows") from error
    except (httpx.TransportError, httpx.DecodingError) as error:
        if decoder is not None:
            raise decoder.broken() from error
        raise APIConnectionError(f"no answer: {error or type(error).__name__}") from error


def retry_after(value: str | None, now: datetime) -> float | None:
    """The header's seconds, or the seconds until its date; None when it says neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        return _seconds_until(value, now)
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float | None:
    try:
        then = email.utils.parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    return max((then - now).total_seconds(), 0.0)


def _stream_failure(document: Document) -> StreamError:
    error = document.child("error")
    return StreamError(
        error.text_or("message", "the server failed in the middle of the stream"),
        code=error.maybe_text("code"),
        param=error.maybe_text("param"),
        type=error.maybe_text("type"),
        request_id=document.request_id,
    )


def _error_object(body: bytes, head: Head) -> dict[str, str]:
    try:
        error = Document.read(body, head.request_id).child("error")
    except ProtocolError:
        return {}
    values = {name: error.value(name) for name in ("message", "code", "param", "type")}
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _quoted(head: Head, body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()[:MAX_QUOTED_CHARACTERS]
    return f"the server answered {head.status}: {text}" if text else f"the server answered {head.status}"
