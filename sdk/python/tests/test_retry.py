"""When a request is sent again."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from realm import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    RealmError,
    ServerError,
    StreamCutError,
    StreamError,
)
from realm._retry import MAX_RETRIES, Attempts, is_transient
from realm._wire import retry_after


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (APIConnectionError(""), True),
        (RateLimitError("", status=429), True),
        (ServerError("", status=500), True),
        (OverloadedError("", status=503), True),
        (StreamCutError(""), True),
        (StreamError("", type="server_error"), True),
        (StreamError("", type="invalid_request_error"), False),
        (APITimeoutError(""), False),
        (BadRequestError("", status=400), False),
        (AuthenticationError("", status=401), False),
        (NotFoundError("", status=404), False),
        (ProtocolError(""), False),
    ],
)
def test_what_may_do_better_later(error: RealmError, transient: bool) -> None:
    assert is_transient(error) is transient
    assert (Attempts(1).delay_after(error) is not None) is transient


def test_waits_double_are_bounded_and_jittered() -> None:
    longest = Attempts(MAX_RETRIES, random=lambda: 0.0)
    shortest = Attempts(MAX_RETRIES, random=lambda: 1.0)
    waits = [
        (longest.delay_after(APIConnectionError("")), shortest.delay_after(APIConnectionError(""))) for _ in range(7)
    ]
    expected = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert waits == [(wait, wait * 0.75) for wait in expected]


@pytest.mark.parametrize(
    ("asked", "random", "wait"),
    [(0.0, 0.0, 0.5), (5.0, 0.0, 5.0), (5.0, 1.0, 6.25), (60.0, 0.0, 60.0), (60.5, 0.0, None)],
)
def test_the_server_says_when(asked: float, random: float, wait: float | None) -> None:
    assert Attempts(2, random=lambda: random).delay_after(RateLimitError("", retry_after=asked)) == wait


def test_tries_are_counted() -> None:
    attempts = Attempts(2)
    assert [attempts.delay_after(APIConnectionError("")) is None for _ in range(4)] == [False, False, True, True]
    assert Attempts(0).delay_after(APIConnectionError("")) is None
    assert Attempts(5).delay_after(StreamCutError(""), begun=True) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("12", 12.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("Sat, 28 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 28 Nov 2026 11:00:00 GMT", 0.0),
        ("Sat, 28 Nov 2026 12:00:30 -0000", 30.0),
    ],
)
def test_both_forms_of_the_header_are_read(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, datetime(2026, 11, 28, 12, tzinfo=timezone.utc)) == seconds
