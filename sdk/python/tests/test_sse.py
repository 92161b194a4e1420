"""The parser of server-sent events, on every way in which bytes may be cut."""

from __future__ import annotations

import pytest

from realm import ProtocolError
from realm._sse import SseParser

CASES = {
    "one": (b"data: a\n\n", ["a"]),
    "carriage returns": (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", ["a", "b", "c"]),
    "lines of one event": (b"data: a\ndata:b\ndata\ndata:  c\n\n", ["a\nb\n\n c"]),
    "comments": (b": keep-alive\n\n: x\ndata: a\n: y\n\n", ["a"]),
    "other fields": (b"event: token\nid: 7\nretry: 3\ndata: a\n\n", ["a"]),
    "no data": (b"event: token\n\n\n\n", []),
    "empty data": (b"data:\n\n", [""]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
    "text": ("data: Gruß 🙂\n\n".encode(), ["Gruß 🙂"]),
    "colons": (b'data: {"a": "b: c"}\n\n', ['{"a": "b: c"}']),
    "not whole": (b"data: a\n\ndata: b\n", ["a"]),
    "not a field": (b"datas: a\ndata : b\n\n", []),
}


@pytest.mark.parametrize("name", CASES)
def test_any_cut_gives_the_same_events(name: str) -> None:
    stream, expected = CASES[name]
    for size in range(1, len(stream) + 1):
        parser = SseParser()
        events: list[str] = []
        for start in range(0, len(stream), size):
            events += parser.push(stream[start : start + size])
            events += parser.push(b"")
        assert events == expected, f"pieces of {size} bytes"


@pytest.mark.parametrize(
    "pieces",
    [[b"data: " + b"x" * 100], [b"data: xxxxxxxx\n"] * 12, [b"x" * 60, b"x" * 60], [b"data: " + b"x" * 100 + b"\n\n"]],
)
def test_an_endless_event_is_refused(pieces: list[bytes]) -> None:
    parser = SseParser(max_event_bytes=80)
    with pytest.raises(ProtocolError, match="80 bytes"):
        [parser.push(piece) for piece in pieces]
