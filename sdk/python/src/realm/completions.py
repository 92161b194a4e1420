"""Completions: text that goes on from a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realm import _calls

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from realm._async_connection import AsyncConnection
    from realm._async_stream import AsyncStream
    from realm._connection import Connection
    from realm._stream import Stream
    from realm.answers import Completion
    from realm.params import CompletionParams


class Completions:
    """`client.completions`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, **params: Unpack[CompletionParams]) -> Completion:
        """Continues a prompt, or several."""
        return self._connection.send(_calls.completion(params))

    def stream(self, **params: Unpack[CompletionParams]) -> Stream:
        """The same, token by token."""
        return self._connection.stream(_calls.completion_stream(params))


class AsyncCompletions:
    """`client.completions` of the async client."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, **params: Unpack[CompletionParams]) -> Completion:
        """Continues a prompt, or several."""
        return await self._connection.send(_calls.completion(params))

    def stream(self, **params: Unpack[CompletionParams]) -> AsyncStream:
        """The same, token by token."""
        return self._connection.stream(_calls.completion_stream(params))
