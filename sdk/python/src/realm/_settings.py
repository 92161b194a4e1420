"""What a client is made with: arguments before the environment before defaults; checked once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from realm._retry import DEFAULT_RETRIES, MAX_RETRIES
from realm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_BASE_URL = "http://127.0.0.1:8080"
"""Where `realm serve` listens unless told otherwise."""
DEFAULT_TIMEOUT = 300.0
"""Seconds without a byte from the server after which a request fails."""
CONNECT_TIMEOUT = 10.0
"""Seconds for a connection, at most."""


@dataclass(frozen=True)
class Settings:
    """Where and how requests are sent."""

    base_url: str
    """Without `/v1` and without a slash at its end."""
    api_key: str | None = field(repr=False)
    model: str | None
    timeout: float
    max_retries: int
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def resolve(
        cls,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        model: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> Settings:
        """From arguments, then the environment's REALM_BASE_URL, REALM_API_KEY and REALM_MODEL."""
        return cls(
            base_url=_root(base_url or environment.get("REALM_BASE_URL") or DEFAULT_BASE_URL),
            api_key=_key(api_key or environment.get("REALM_API_KEY") or None),
            model=model or environment.get("REALM_MODEL") or None,
            timeout=_timeout(timeout),
            max_retries=_retries(max_retries),
            headers=dict(headers or {}),
        )


def _root(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the base URL {url!r} is not a URL: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ConfigError(f"the base URL is {url!r}; it must begin with http:// or https:// and name a host")
    if parsed.query or parsed.fragment:
        raise ConfigError(f"the base URL {url!r} must end with its path")
    return str(parsed).rstrip("/").removesuffix("/v1").rstrip("/")


def _key(key: str | None) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key):
        raise ConfigError("the API key has characters that no HTTP header can hold")
    return key


def _timeout(timeout: float) -> float:
    if not timeout > 0:
        raise ConfigError(f"`timeout` is {timeout}; it must be more than 0 seconds")
    return timeout


def _retries(retries: int) -> int:
    if not 0 <= retries <= MAX_RETRIES:
        raise ConfigError(f"`max_retries` is {retries}; it must be between 0 and {MAX_RETRIES}")
    return retries
