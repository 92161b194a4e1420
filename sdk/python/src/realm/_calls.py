"""Each request as a value: method, path, body, and how its answer is read. Sync and async clients send the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import quote

from realm import _parse
from realm.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from realm._document import Document
    from realm.answers import ChatCompletion, Completion, Embeddings, Model, Token, Tokens
    from realm.params import (
        ChatParams,
        CompletionParams,
        DetokenizeParams,
        EmbeddingParams,
        Options,
        TokenizeParams,
    )

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request."""

    method: str
    path: str
    parse: Callable[[Document], T]
    """Reads the answer, or one event of it."""
    body: Mapping[str, object] | None = None
    timeout: float | None = None
    max_retries: int | None = None
    request_id: str | None = None

    @property
    def lacks_model(self) -> bool:
        """Whether the body still needs the name of a model."""
        return self.body is not None and "model" not in self.body

    def with_model(self, name: str) -> Call[T]:
        """The same for this model."""
        return replace(self, body={"model": name, **(self.body or {})})


def completion(params: CompletionParams) -> Call[Completion]:
    """`POST /v1/completions`."""
    return _post("/v1/completions", _parse.completion, params)


def completion_stream(params: CompletionParams) -> Call[list[Token]]:
    """The same as events."""
    return _as_stream(_post("/v1/completions", _parse.completion_tokens, params))


def chat(params: ChatParams) -> Call[ChatCompletion]:
    """`POST /v1/chat/completions`."""
    return _post("/v1/chat/completions", _parse.chat, params)


def chat_stream(params: ChatParams) -> Call[list[Token]]:
    """The same as events."""
    return _as_stream(_post("/v1/chat/completions", _parse.chat_tokens, params))


def embeddings(params: EmbeddingParams) -> Call[Embeddings]:
    """`POST /v1/embeddings`."""
    return _post("/v1/embeddings", _parse.embeddings, params)


def tokenize(params: TokenizeParams) -> Call[Tokens]:
    """`POST /tokenize`."""
    return _post("/tokenize", _parse.tokens, params)


def detokenize(params: DetokenizeParams) -> Call[str]:
    """`POST /detokenize`."""
    return _post("/detokenize", _parse.prompt, params)


def models(options: Options) -> Call[list[Model]]:
    """`GET /v1/models`."""
    return _get("/v1/models", _parse.models, options)


def model(name: str, options: Options) -> Call[Model]:
    """`GET /v1/models/{id}`; the name may have slashes."""
    return _get(f"/v1/models/{quote(name)}", _parse.model, options)


def first_model(models: list[Model]) -> str:
    """The model of requests that name none: the first that the server lists, whose other names follow it."""
    if not models:
        raise ProtocolError("the server has no model")
    return models[0].id


def _get(path: str, parse: Callable[[Document], T], options: Options) -> Call[T]:
    return Call(
        "GET",
        path,
        parse,
        timeout=options.get("timeout"),
        max_retries=options.get("max_retries"),
        request_id=options.get("request_id"),
    )


_OPTIONS = frozenset({"timeout", "max_retries", "request_id", "extra_body"})


def _post(path: str, parse: Callable[[Document], T], params: Options) -> Call[T]:
    given = {name: value for name, value in params.items() if value is not None}
    body = {name: value for name, value in given.items() if name not in _OPTIONS}
    body.update(params.get("extra_body", {}))
    return replace(_get(path, parse, params), method="POST", body=body)


def _as_stream(call: Call[list[Token]]) -> Call[list[Token]]:
    body = {**(call.body or {}), "stream": True, "stream_options": {"include_usage": True}}
    return replace(call, body=body)
