"""A stream of tokens for sync callers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from realm._progress import Progress, StreamView

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

    from typing_extensions import Self

    from realm.answers import Token


class Stream(StreamView, Iterator["Token"]):
    """Tokens as they come. The request goes out with the first `next`; `close` cancels it at the server.

    Leaving a `with` block closes. A stream that is dropped is closed too.
    """

    def __init__(self, tokens: Callable[[Progress], Generator[Token, None, None]]) -> None:
        self._progress = Progress()
        self._tokens = tokens(self._progress)

    def __next__(self) -> Token:
        return next(self._tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the request; without effect when it has ended."""
        self._tokens.close()
