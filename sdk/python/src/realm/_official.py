"""What the official OpenAI clients need to talk to the same server; they stay unmodified."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from realm.errors import ConfigError

if TYPE_CHECKING:
    from realm._settings import Settings

_NO_KEY = "none"
"""The official clients want a key even where the server wants none."""


class OfficialArguments(TypedDict):
    """Arguments of `openai.OpenAI` and `openai.AsyncOpenAI`."""

    base_url: str
    api_key: str
    timeout: float
    max_retries: int
    default_headers: dict[str, str]


def arguments(settings: Settings) -> OfficialArguments:
    """The same server, key, timeout and retries."""
    return {
        "base_url": f"{settings.base_url}/v1",
        "api_key": settings.api_key or _NO_KEY,
        "timeout": settings.timeout,
        "max_retries": settings.max_retries,
        "default_headers": dict(settings.headers),
    }


def missing(error: ImportError) -> ConfigError:
    """The optional package is not installed."""
    return ConfigError(f"`openai()` needs the official client: pip install 'realm[openai]' ({error})")
