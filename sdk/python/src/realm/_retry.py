"""Whether and when a failed request is sent again; pure but for the jitter."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from realm.errors import (
    APIConnectionError,
    OverloadedError,
    RateLimitError,
    RealmError,
    ServerError,
    StreamCutError,
    StreamError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_RETRIES = 2
"""How often a request is sent again unless the caller says otherwise."""
MAX_RETRIES = 10
"""How often a request is sent again at most."""
FIRST_WAIT = 0.5
"""Seconds before the first retry when the server names no time; doubles with each."""
LONGEST_WAIT = 8.0
"""Seconds between two tries at most when the server names no time."""
LONGEST_RETRY_AFTER = 60.0
"""Seconds that a server may ask to wait; when it asks for more, the caller has to decide."""
JITTER = 0.25
"""Part of a wait by which it is made longer or shorter at random, so that clients do not come back together."""
_TRANSIENT = (APIConnectionError, RateLimitError, OverloadedError, ServerError, StreamCutError)
_TRANSIENT_TYPES = ("server_error", "rate_limit_error")


def is_transient(error: RealmError) -> bool:
    """Whether the same request may do better later. A timeout is not: the work may still be under way."""
    if isinstance(error, StreamError):
        return error.type in _TRANSIENT_TYPES
    return isinstance(error, _TRANSIENT)


@dataclass
class Attempts:
    """The tries of one request."""

    max_retries: int
    random: Callable[[], float] = field(default=random.random)
    made: int = 0

    def delay_after(self, error: RealmError, *, begun: bool = False) -> float | None:
        """Seconds to wait before the next try; None when there is none. `begun`: the caller has tokens already."""
        if begun or self.made >= min(self.max_retries, MAX_RETRIES) or not is_transient(error):
            return None
        asked = error.retry_after
        if asked is not None and asked > LONGEST_RETRY_AFTER:
            return None
        wait = min(FIRST_WAIT * float(2**self.made), LONGEST_WAIT)
        self.made += 1
        if asked is not None:
            # Never earlier than the server says.
            return max(asked, wait) * (1 + JITTER * self.random())
        return wait * (1 - JITTER * self.random())
