"""The rim of the async client: sends calls with httpx, waits between tries."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import httpx

from realm import _calls, _wire
from realm._async_stream import AsyncStream
from realm._retry import Attempts
from realm.errors import RealmError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from realm._calls import Call
    from realm._progress import Progress
    from realm._settings import Settings
    from realm.answers import Token

T = TypeVar("T")


class AsyncConnection:
    """Sends calls."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient | None) -> None:
        self.settings = settings
        self._http = http or httpx.AsyncClient()
        self._owns_http = http is None
        self._model = settings.model

    async def close(self) -> None:
        """Closes idle connections; an httpx client that the caller gave stays open."""
        if self._owns_http:
            await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """The answer to a call."""
        call = await self._with_model(call)
        attempts = self._attempts(call)
        while True:
            try:
                return await self._exchange(call)
            except RealmError as error:
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    def stream(self, call: Call[list[Token]]) -> AsyncStream:
        """The tokens of a call."""
        return AsyncStream(partial(self._tokens, call))

    async def _exchange(self, call: Call[T]) -> T:
        async with self._response(call) as response:
            return _wire.answer(call, _wire.Head.of(response), await _read(response))

    async def _tokens(self, call: Call[list[Token]], progress: Progress) -> AsyncGenerator[Token, None]:
        call = await self._with_model(call)
        attempts = self._attempts(call)
        while True:
            try:
                async with contextlib.aclosing(self._tokens_once(call, progress)) as tokens:
                    async for token in tokens:
                        yield token
                return
            except RealmError as error:
                delay = attempts.delay_after(error, begun=progress.begun)
                if delay is None:
                    raise
            await asyncio.sleep(delay)

    async def _tokens_once(self, call: Call[list[Token]], progress: Progress) -> AsyncGenerator[Token, None]:
        async with self._response(call) as response:
            head = _wire.Head.of(response)
            progress.request_id = head.request_id
            if not response.is_success:
                raise _wire.refusal(head, await _read(response))
            decoder = _wire.EventDecoder(call, head)
            async with contextlib.aclosing(_chunks(response, decoder)) as chunks:
                async for chunk in chunks:
                    for token in decoder.push(chunk):
                        progress.note(token)
                        yield token
            decoder.finish()
            progress.usage = decoder.usage

    @contextlib.asynccontextmanager
    async def _response(self, call: Call[T]) -> AsyncGenerator[httpx.Response, None]:
        request = _wire.request(call, self.settings, self._http)
        with _wire.translated():
            response = await self._http.send(request, stream=True)
        async with contextlib.aclosing(response):
            yield response

    async def _with_model(self, call: Call[T]) -> Call[T]:
        if not call.lacks_model:
            return call
        if self._model is None:
            self._model = _calls.first_model(await self.send(_calls.models({})))
        return call.with_model(self._model)

    def _attempts(self, call: Call[T]) -> Attempts:
        return Attempts(self.settings.max_retries if call.max_retries is None else call.max_retries)


async def _read(response: httpx.Response) -> bytes:
    body = _wire.Body()
    with _wire.translated():
        async for chunk in response.aiter_bytes():
            body.push(chunk)
    return body.whole()


async def _chunks(response: httpx.Response, decoder: _wire.EventDecoder) -> AsyncGenerator[bytes, None]:
    """The body up to the end of its connection, so that the connection can be used again."""
    chunks = response.aiter_bytes()
    while True:
        with _wire.translated(decoder):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk
