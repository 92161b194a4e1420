"""One server for all cases, and clients of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asking import official, plain
from serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    import openai


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The real server with the real model."""
    with serve(Path(__file__).with_name("server.yaml")) as server:
        yield server.url


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[openai.OpenAI]:
    with official(url) as client:
        yield client


@pytest.fixture(scope="session")
def http(url: str) -> Iterator[httpx.Client]:
    with plain(url) as client:
        yield client
