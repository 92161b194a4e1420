"""Lets one test speak for both clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from realm import AsyncRealm, Realm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from realm import Token


class Caller:
    """Makes a client of one kind for each call."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def call(self, url: str, use: Callable[[Any], Any], **arguments: Any) -> Any:
        """What `use` gives for a client; awaited when it is the async one."""
        if self.kind == "sync":
            with Realm(url, **arguments) as client:
                return use(client)

        async def run() -> Any:
            async with AsyncRealm(url, **arguments) as client:
                return await use(client)

        return asyncio.run(run())

    def tokens(self, url: str, open_stream: Callable[[Any], Any], **arguments: Any) -> tuple[list[Token], Any]:
        """All tokens of the stream that `open_stream` gives for a client, and the stream."""

        def collect(client: Any) -> Any:
            stream = open_stream(client)
            return (list(stream), stream)

        async def collect_async(client: Any) -> Any:
            stream = open_stream(client)
            return ([token async for token in stream], stream)

        use: Callable[[Any], Any] | Callable[[Any], Awaitable[Any]]
        use = collect if self.kind == "sync" else collect_async
        tokens, stream = self.call(url, use, **arguments)
        return tokens, stream
