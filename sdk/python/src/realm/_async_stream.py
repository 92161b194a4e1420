"""A stream of tokens for async callers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from realm._progress import Progress, StreamView

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from types import TracebackType

    from typing_extensions import Self

    from realm.answers import Token


class AsyncStream(StreamView, AsyncIterator["Token"]):
    """Tokens as they come. The request goes out when the first is awaited; `close` cancels it at the server.

    Leaving an `async with` block closes, and so does cancelling the task that waits for a token.
    """

    def __init__(self, tokens: Callable[[Progress], AsyncGenerator[Token, None]]) -> None:
        self._progress = Progress()
        self._tokens = tokens(self._progress)

    async def __anext__(self) -> Token:
        return await anext(self._tokens)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the request; without effect when it has ended."""
        await self._tokens.aclose()
