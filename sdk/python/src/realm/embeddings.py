"""Embeddings: texts as vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realm import _calls

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from realm import answers
    from realm._async_connection import AsyncConnection
    from realm._connection import Connection
    from realm.params import EmbeddingParams


class Embeddings:
    """`client.embeddings`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, **params: Unpack[EmbeddingParams]) -> answers.Embeddings:
        """One vector for each text."""
        return self._connection.send(_calls.embeddings(params))


class AsyncEmbeddings:
    """`client.embeddings` of the async client."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, **params: Unpack[EmbeddingParams]) -> answers.Embeddings:
        """One vector for each text."""
        return await self._connection.send(_calls.embeddings(params))
