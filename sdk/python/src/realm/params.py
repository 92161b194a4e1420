"""The arguments of each call. Names and meaning are those of the HTTP API; the server refuses what it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from typing_extensions import Required, TypedDict

Message: TypeAlias = Mapping[str, object]
"""A message of a conversation: `role`, `content` and what belongs to calls of tools."""


class Options(TypedDict, total=False):
    """How a request is sent."""

    timeout: float
    """Seconds without a byte from the server after which the request fails."""
    max_retries: int
    """How often a failed request is sent again."""
    request_id: str
    """Name of the request in the server's log; letters, digits, `-_.:`, at most 128."""
    extra_body: Mapping[str, object]
    """Further fields of the body."""


class Generation(Options, total=False):
    """What completions and chat share."""

    model: str
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    n: int
    stop: str | Sequence[str]
    seed: int
    frequency_penalty: float
    presence_penalty: float
    repetition_penalty: float
    logit_bias: Mapping[int, float] | Mapping[str, float]
    response_format: Mapping[str, object]
    structured_outputs: Mapping[str, object]
    user: str
    metadata: Mapping[str, str]


class CompletionParams(Generation, total=False):
    """Arguments of `completions`."""

    prompt: Required[str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]]
    logprobs: int
    best_of: int
    echo: bool
    suffix: str


class ChatParams(Generation, total=False):
    """Arguments of `chat`."""

    messages: Required[Sequence[Message]]
    max_completion_tokens: int
    logprobs: bool
    top_logprobs: int
    tools: Sequence[Mapping[str, object]]
    tool_choice: str | Mapping[str, object]
    parallel_tool_calls: bool


class EmbeddingParams(Options, total=False):
    """Arguments of `embeddings`."""

    model: str
    input: Required[str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]]
    dimensions: int
    encoding_format: Literal["float", "base64"]
    user: str


class TokenizeParams(Options, total=False):
    """Arguments of `tokenize`: either `prompt` or `messages`."""

    model: str
    prompt: str
    messages: Sequence[Message]
    add_special_tokens: bool


class DetokenizeParams(Options, total=False):
    """Arguments of `detokenize`."""

    model: str
    tokens: Required[Sequence[int]]
