"""Models that the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realm import _calls

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from realm._async_connection import AsyncConnection
    from realm._connection import Connection
    from realm.answers import Model
    from realm.params import Options


class Models:
    """`client.models`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, **options: Unpack[Options]) -> list[Model]:
        """All of them, each name once."""
        return self._connection.send(_calls.models(options))

    def retrieve(self, model: str, **options: Unpack[Options]) -> Model:
        """One of them, by its name."""
        return self._connection.send(_calls.model(model, options))


class AsyncModels:
    """`client.models` of the async client."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, **options: Unpack[Options]) -> list[Model]:
        """All of them, each name once."""
        return await self._connection.send(_calls.models(options))

    async def retrieve(self, model: str, **options: Unpack[Options]) -> Model:
        """One of them, by its name."""
        return await self._connection.send(_calls.model(model, options))
