"""Client of Realm, the inference server for many tenants.

`Realm` and `AsyncRealm` have the same nouns: `completions`, `chat`, `embeddings`, `models`, `tokenize`, `detokenize`.
"""

from realm._async_client import AsyncRealm
from realm._async_stream import AsyncStream
from realm._client import Realm
from realm._stream import Stream
from realm._version import __version__
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
from realm.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RealmError,
    ServerError,
    StreamCutError,
    StreamError,
    UnprocessableEntityError,
)

__all__ = [
    "APIConnectionError",
    "APIError",
    "APITimeoutError",
    "AsyncRealm",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ChatChoice",
    "ChatCompletion",
    "Completion",
    "CompletionChoice",
    "ConfigError",
    "Embedding",
    "Embeddings",
    "Model",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "Realm",
    "RealmError",
    "ServerError",
    "Stream",
    "StreamCutError",
    "StreamError",
    "Token",
    "TokenLogprob",
    "Tokens",
    "ToolCall",
    "ToolCallPiece",
    "UnprocessableEntityError",
    "Usage",
    "__version__",
]
