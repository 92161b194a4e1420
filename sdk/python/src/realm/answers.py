"""What the server answers, as values that do not change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    cached_tokens: int = 0
    """Tokens of the prompt that needed no work because the tenant had sent the same beginning before."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """How likely a token was."""

    token: str
    logprob: float | None
    """Natural logarithm of the probability; None for a prompt's first token, which nothing precedes."""
    top: Mapping[str, float]
    """The most likely tokens at this place."""


@dataclass(frozen=True, slots=True)
class CompletionChoice:
    """One continuation of one prompt."""

    index: int
    text: str
    finish_reason: str | None
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """Continuations of the prompts."""

    id: str
    model: str
    created: int
    choices: tuple[CompletionChoice, ...]
    usage: Usage
    system_fingerprint: str | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """Text of the first choice."""
        return self.choices[0].text

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a function that the model wants."""

    id: str
    name: str
    arguments: str
    """JSON text."""


@dataclass(frozen=True, slots=True)
class ChatChoice:
    """One answer to a conversation."""

    index: int
    text: str
    finish_reason: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """Answers to a conversation."""

    id: str
    model: str
    created: int
    choices: tuple[ChatChoice, ...]
    usage: Usage
    system_fingerprint: str | None = None
    request_id: str | None = None

    @property
    def text(self) -> str:
        """Text of the first choice; empty when the model only calls tools."""
        return self.choices[0].text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Calls of the first choice."""
        return self.choices[0].tool_calls

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A piece of a call on a stream: `id` and `name` come with its first piece, `arguments` bit by bit."""

    index: int
    id: str | None
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class Token:
    """What is new on a stream: usually the text of one token; the last one of a choice has the finish reason."""

    text: str
    index: int = 0
    finish_reason: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    tool_calls: tuple[ToolCallPiece, ...] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text as a vector."""

    index: int
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Texts as vectors, in the order of the texts."""

    model: str
    data: tuple[Embedding, ...]
    usage: Usage
    request_id: str | None = None

    @property
    def vectors(self) -> tuple[tuple[float, ...], ...]:
        """The vectors alone."""
        return tuple(entry.vector for entry in self.data)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that the server has."""

    id: str
    created: int
    owned_by: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as token ids."""

    tokens: tuple[int, ...]
    count: int
    max_model_len: int
    """Tokens that prompt and answer may have together."""
    request_id: str | None = None
