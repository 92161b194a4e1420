"""Server-sent events from bytes that come in any pieces, as the HTML standard reads them; pure."""

from __future__ import annotations

from realm.errors import ProtocolError

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Longest event, in bytes; a longer one is not from this API."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class SseParser:
    """Takes bytes, gives the data of whole events. Comments and fields other than `data` are passed over."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._began = False
        self._after_return = False

    def push(self, chunk: bytes) -> list[str]:
        """The data of the events that are whole now."""
        events: list[str] = []
        if self._after_return and chunk:
            self._after_return = False
            # The other half of a line break that two chunks share.
            chunk = chunk.removeprefix(b"\n")
        self._after_return = self._after_return or chunk.endswith(b"\r")
        pieces = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for piece in pieces[:-1]:
            self._line += piece
            self._end_line(events)
        self._line += pieces[-1]
        self._check_size()
        return events

    def _end_line(self, events: list[str]) -> None:
        self._check_size()
        line = bytes(self._line)
        self._line.clear()
        if not self._began:
            self._began = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            data = value.removeprefix(b" ")
            self._data.append(data)
            self._data_bytes += len(data) + 1

    def _dispatch(self, events: list[str]) -> None:
        if self._data:
            events.append(b"\n".join(self._data).decode("utf-8", errors="replace"))
        self._data.clear()
        self._data_bytes = 0

    def _check_size(self) -> None:
        if len(self._line) + self._data_bytes > self._max:
            raise ProtocolError(f"an event of the stream is longer than {self._max} bytes")
