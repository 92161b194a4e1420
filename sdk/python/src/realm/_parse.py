"""From the server's documents to answers; pure."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, TypeVar

from realm.answers import (
    ChatChoice,
    ChatCompletion,
    Completion,
    CompletionChoice,
    Embedding,
    Embeddings,
    Model,
    Token,
    TokenLogprob,
    Tokens,
    ToolCall,
    ToolCallPiece,
    Usage,
)
from realm.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from realm._document import Document

_Choice = TypeVar("_Choice", CompletionChoice, ChatChoice)
_FLOAT_BYTES = 4


def usage(document: Document) -> Usage:
    """Token counts."""
    cached = 0
    if document.has("prompt_tokens_details"):
        cached = document.child("prompt_tokens_details").integer_or("cached_tokens", 0)
    return Usage(
        document.integer("prompt_tokens"),
        document.integer_or("completion_tokens", 0),
        document.integer("total_tokens"),
        cached,
    )


def completion(document: Document) -> Completion:
    """An answer of `/v1/completions`."""
    choices = [_completion_choice(entry) for entry in document.children("choices")]
    return Completion(
        id=document.text("id"),
        model=document.text("model"),
        created=document.integer("created"),
        choices=_some(choices, document),
        usage=usage(document.child("usage")),
        system_fingerprint=document.maybe_text("system_fingerprint"),
        request_id=document.request_id,
    )


def chat(document: Document) -> ChatCompletion:
    """An answer of `/v1/chat/completions`."""
    choices = [_chat_choice(entry) for entry in document.children("choices")]
    return ChatCompletion(
        id=document.text("id"),
        model=document.text("model"),
        created=document.integer("created"),
        choices=_some(choices, document),
        usage=usage(document.child("usage")),
        system_fingerprint=document.maybe_text("system_fingerprint"),
        request_id=document.request_id,
    )


def completion_tokens(document: Document) -> list[Token]:
    """An event of `/v1/completions`."""
    return [
        Token(choice.text, choice.index, choice.finish_reason, choice.logprobs)
        for choice in map(_completion_choice, document.children("choices"))
        if choice.text or choice.finish_reason
    ]


def chat_tokens(document: Document) -> list[Token]:
    """An event of `/v1/chat/completions`; the opening, which has no text yet, gives nothing."""
    tokens = map(_chat_token, document.children("choices"))
    return [token for token in tokens if token.text or token.tool_calls or token.finish_reason]


def embeddings(document: Document) -> Embeddings:
    """An answer of `/v1/embeddings`."""
    data = sorted(map(_embedding, document.children("data")), key=lambda entry: entry.index)
    return Embeddings(document.text("model"), tuple(data), usage(document.child("usage")), document.request_id)


def model(document: Document) -> Model:
    """An answer of `/v1/models/{id}`."""
    return Model(document.text("id"), document.integer_or("created", 0), document.text_or("owned_by", ""))


def models(document: Document) -> list[Model]:
    """An answer of `/v1/models`."""
    return [model(entry) for entry in document.children("data")]


def tokens(document: Document) -> Tokens:
    """An answer of `/tokenize`."""
    path = document.path("tokens")
    ids = tuple(document.as_integer(path, value) for value in document.values("tokens"))
    return Tokens(ids, document.integer("count"), document.integer("max_model_len"), document.request_id)


def prompt(document: Document) -> str:
    """An answer of `/detokenize`."""
    return document.text("prompt")


def _some(choices: Sequence[_Choice], document: Document) -> tuple[_Choice, ...]:
    if not choices:
        raise ProtocolError("`choices` of the answer is empty", request_id=document.request_id)
    return tuple(choices)


def _completion_choice(document: Document) -> CompletionChoice:
    return CompletionChoice(
        document.integer("index"),
        document.text_or("text", ""),
        document.maybe_text("finish_reason"),
        _completion_logprobs(document.child("logprobs")) if document.has("logprobs") else None,
    )


def _chat_choice(document: Document) -> ChatChoice:
    message = document.child("message")
    calls = message.children("tool_calls") if message.has("tool_calls") else []
    return ChatChoice(
        document.integer("index"),
        message.text_or("content", ""),
        document.maybe_text("finish_reason"),
        tuple(map(_tool_call, calls)),
        _chat_logprobs(document),
    )


def _chat_token(document: Document) -> Token:
    delta = document.child("delta")
    calls = delta.children("tool_calls") if delta.has("tool_calls") else []
    return Token(
        delta.text_or("content", ""),
        document.integer("index"),
        document.maybe_text("finish_reason"),
        _chat_logprobs(document),
        tuple(map(_tool_call_piece, calls)),
    )


def _tool_call(document: Document) -> ToolCall:
    function = document.child("function")
    return ToolCall(document.text("id"), function.text("name"), function.text_or("arguments", ""))


def _tool_call_piece(document: Document) -> ToolCallPiece:
    index, call_id = document.integer("index"), document.maybe_text("id")
    if not document.has("function"):
        return ToolCallPiece(index, call_id, None, "")
    function = document.child("function")
    return ToolCallPiece(index, call_id, function.maybe_text("name"), function.text_or("arguments", ""))


def _completion_logprobs(document: Document) -> tuple[TokenLogprob, ...]:
    """Lists side by side, one entry for each token."""
    texts, logprobs = document.values("tokens"), document.values("token_logprobs")
    tops: list[object] = document.values("top_logprobs") if document.has("top_logprobs") else [None] * len(texts)
    if not len(texts) == len(logprobs) == len(tops):
        raise ProtocolError("the lists of `logprobs` differ in length", request_id=document.request_id)
    path = document.path("token_logprobs")
    return tuple(
        TokenLogprob(
            str(text),
            None if logprob is None else document.as_number(path, logprob),
            {} if top is None else document.__class__(top, path, document.request_id).numbers(),
        )
        for text, logprob, top in zip(texts, logprobs, tops, strict=True)
    )


def _chat_logprobs(document: Document) -> tuple[TokenLogprob, ...] | None:
    if not document.has("logprobs"):
        return None
    logprobs = document.child("logprobs")
    entries = logprobs.children("content") if logprobs.has("content") else []
    return tuple(
        TokenLogprob(
            entry.text("token"),
            entry.number("logprob"),
            {top.text("token"): top.number("logprob") for top in entry.children("top_logprobs")},
        )
        for entry in entries
    )


def _embedding(document: Document) -> Embedding:
    value = document.value("embedding")
    if isinstance(value, str):
        return Embedding(document.integer("index"), _floats(value, document))
    path = document.path("embedding")
    vector = tuple(document.as_number(path, entry) for entry in document.values("embedding"))
    return Embedding(document.integer("index"), vector)


def _floats(text: str, document: Document) -> tuple[float, ...]:
    """Little-endian 32-bit floats in base64."""
    try:
        raw = base64.b64decode(text, validate=True)
        return struct.unpack(f"<{len(raw) // _FLOAT_BYTES}f", raw)
    except (binascii.Error, struct.error) as error:
        message = f"`{document.path('embedding')}` is not floats in base64: {error}"
        raise ProtocolError(message, request_id=document.request_id) from error
