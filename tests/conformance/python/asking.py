"""Asks the server as users do: with the unmodified official client, or with plain HTTP where no client would go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import openai

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL = "smollm2"
QUESTION = [{"role": "user", "content": "Name the capital of France."}]
CAPITAL = "The capital of France is"
PATIENCE = 120.0
"""Seconds; a debug build on a busy machine is slow, and a hanging server must fail the test all the same."""


def key_of(tenant: str) -> str:
    """The key of a tenant in `server.yaml`."""
    return f"rlm_key_of_the_tenant_{tenant}"


@dataclass(frozen=True)
class Endpoint:
    """One of the two endpoints that generate, and the least request that it takes."""

    name: str
    path: str
    least: Mapping[str, Any]

    def create(self, client: openai.OpenAI, fields: Mapping[str, Any]) -> Any:
        """The answer to the least request with these fields; `extra_body` lets even wrong ones through the client."""
        if self.name == "chat":
            return client.chat.completions.create(**{**self.least, "extra_body": dict(fields)})
        return client.completions.create(**{**self.least, "extra_body": dict(fields)})

    def stream(self, client: openai.OpenAI, fields: Mapping[str, Any]) -> list[Any]:
        """All chunks of the same as a stream."""
        resource: Any = client.chat.completions if self.name == "chat" else client.completions
        with resource.create(**{**self.least, "stream": True, "extra_body": dict(fields)}) as chunks:
            return list(chunks)

    def text(self, answer: Any, choice: int = 0) -> str:
        """The text of a choice of a whole answer."""
        found = answer.choices[choice]
        return str((found.message.content if self.name == "chat" else found.text) or "")

    def streamed_text(self, chunks: list[Any], choice: int = 0) -> str:
        """The text of a choice of a stream."""
        pieces = [piece for chunk in chunks for piece in chunk.choices if piece.index == choice]
        return "".join((piece.delta.content if self.name == "chat" else piece.text) or "" for piece in pieces)


CHAT = Endpoint(
    "chat", "/v1/chat/completions", {"model": MODEL, "messages": QUESTION, "max_tokens": 12, "temperature": 0}
)
TEXT = Endpoint(
    "completions", "/v1/completions", {"model": MODEL, "prompt": CAPITAL, "max_tokens": 12, "temperature": 0}
)
ENDPOINTS = {endpoint.name: endpoint for endpoint in (CHAT, TEXT)}


def official(url: str, tenant: str = "free") -> openai.OpenAI:
    """The official client; without retries, so that each failure is seen."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key_of(tenant), max_retries=0, timeout=PATIENCE)


def plain(url: str, tenant: str | None = "free") -> httpx.Client:
    """Plain HTTP."""
    headers = {"authorization": f"Bearer {key_of(tenant)}"} if tenant else {}
    return httpx.Client(base_url=url, headers=headers, timeout=PATIENCE)
