"""What a stream has brought so far; shared by the sync and the async stream, pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from realm.answers import Token, Usage


class Progress:
    """Text, finish reason and counts of a stream so far."""

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.usage: Usage | None = None
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self.begun = False

    def note(self, token: Token) -> None:
        """One more token, which the caller is about to get."""
        self.begun = True
        self._texts.setdefault(token.index, []).append(token.text)
        if token.finish_reason is not None:
            self._reasons[token.index] = token.finish_reason

    def text(self, index: int) -> str:
        """Text of a choice."""
        return "".join(self._texts.get(index, []))

    def finish_reason(self, index: int) -> str | None:
        """Why a choice ended; None while it has not."""
        return self._reasons.get(index)


class StreamView:
    """What both streams tell of themselves."""

    _progress: Progress

    @property
    def request_id(self) -> str | None:
        """The request's name in the server's log, once the server has answered."""
        return self._progress.request_id

    @property
    def text(self) -> str:
        """Text of the first choice so far."""
        return self._progress.text(0)

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None while it has not."""
        return self._progress.finish_reason(0)

    @property
    def usage(self) -> Usage | None:
        """Token counts, once the stream has ended."""
        return self._progress.usage
