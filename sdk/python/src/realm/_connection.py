"""The rim of the sync client: sends calls with httpx, waits between tries."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import httpx

from realm import _calls, _wire
from realm._retry import Attempts
from realm._stream import Stream
from realm.errors import RealmError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from realm._calls import Call
    from realm._progress import Progress
    from realm._settings import Settings
    from realm.answers import Token

T = TypeVar("T")


class Connection:
    """Sends calls."""

    def __init__(self, settings: Settings, http: httpx.Client | None) -> None:
        self.settings = settings
        self._http = http or httpx.Client()
        self._owns_http = http is None
        self._model = settings.model

    def close(self) -> None:
        """Closes idle connections; an httpx client that the caller gave stays open."""
        if self._owns_http:
            self._http.close()

    def send(self, call: Call[T]) -> T:
        """The answer to a call."""
        call = self._with_model(call)
        attempts = self._attempts(call)
        while True:
            try:
                return self._exchange(call)
            except RealmError as error:
                delay = attempts.delay_after(error)
                if delay is None:
                    raise
            time.sleep(delay)

    def stream(self, call: Call[list[Token]]) -> Stream:
        """The tokens of a call."""
        return Stream(partial(self._tokens, call))

    def _exchange(self, call: Call[T]) -> T:
        with self._response(call) as response:
            return _wire.answer(call, _wire.Head.of(response), _read(response))

    def _tokens(self, call: Call[list[Token]], progress: Progress) -> Generator[Token, None, None]:
        call = self._with_model(call)
        attempts = self._attempts(call)
        while True:
            try:
                yield from self._tokens_once(call, progress)
                return
            except RealmError as error:
                delay = attempts.delay_after(error, begun=progress.begun)
                if delay is None:
                    raise
            time.sleep(delay)

    def _tokens_once(self, call: Call[list[Token]], progress: Progress) -> Iterator[Token]:
        with self._response(call) as response:
            head = _wire.Head.of(response)
            progress.request_id = head.request_id
            if not response.is_success:
                raise _wire.refusal(head, _read(response))
            decoder = _wire.EventDecoder(call, head)
            for chunk in _chunks(response, decoder):
                for token in decoder.push(chunk):
                    progress.note(token)
                    yield token
            decoder.finish()
            progress.usage = decoder.usage

    @contextlib.contextmanager
    def _response(self, call: Call[T]) -> Generator[httpx.Response, None, None]:
        request = _wire.request(call, self.settings, self._http)
        with _wire.translated():
            response = self._http.send(request, stream=True)
        with contextlib.closing(response):
            yield response

    def _with_model(self, call: Call[T]) -> Call[T]:
        if not call.lacks_model:
            return call
        if self._model is None:
            self._model = _calls.first_model(self.send(_calls.models({})))
        return call.with_model(self._model)

    def _attempts(self, call: Call[T]) -> Attempts:
        return Attempts(self.settings.max_retries if call.max_retries is None else call.max_retries)


def _read(response: httpx.Response) -> bytes:
    body = _wire.Body()
    with _wire.translated():
        for chunk in response.iter_bytes():
            body.push(chunk)
    return body.whole()


def _chunks(response: httpx.Response, decoder: _wire.EventDecoder) -> Iterator[bytes]:
    """The body up to the end of its connection, so that the connection can be used again."""
    chunks = response.iter_bytes()
    while True:
        with _wire.translated(decoder):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
