"""Chat: answers to a conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realm import _calls

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from realm._async_connection import AsyncConnection
    from realm._async_stream import AsyncStream
    from realm._connection import Connection
    from realm._stream import Stream
    from realm.answers import ChatCompletion
    from realm.params import ChatParams


class Chat:
    """`client.chat`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, **params: Unpack[ChatParams]) -> ChatCompletion:
        """Answers a conversation."""
        return self._connection.send(_calls.chat(params))

    def stream(self, **params: Unpack[ChatParams]) -> Stream:
        """The same, token by token."""
        return self._connection.stream(_calls.chat_stream(params))


class AsyncChat:
    """`client.chat` of the async client."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, **params: Unpack[ChatParams]) -> ChatCompletion:
        """Answers a conversation."""
        return await self._connection.send(_calls.chat(params))

    def stream(self, **params: Unpack[ChatParams]) -> AsyncStream:
        """The same, token by token."""
        return self._connection.stream(_calls.chat_stream(params))
