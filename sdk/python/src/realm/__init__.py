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
    BadRequest,
    ConfigError,
    ConnectionFailed,
    Forbidden,
    InvalidAnswer,
    NotFound,
    RateLimited,
    RealmError,
    RequestTimeout,
    ServerError,
    StatusError,
    StreamBroken,
    StreamFailed,
    Unauthorized,
    Unavailable,
)

__all__ = [
    "AsyncRealm",
    "AsyncStream",
    "BadRequest",
    "ChatChoice",
    "ChatCompletion",
    "Completion",
    "CompletionChoice",
    "ConfigError",
    "ConnectionFailed",
    "Embedding",
    "Embeddings",
    "Forbidden",
    "InvalidAnswer",
    "Model",
    "NotFound",
    "RateLimited",
    "Realm",
    "RealmError",
    "RequestTimeout",
    "ServerError",
    "StatusError",
    "Stream",
    "StreamBroken",
    "StreamFailed",
    "Token",
    "TokenLogprob",
    "Tokens",
    "ToolCall",
    "ToolCallPiece",
    "Unauthorized",
    "Unavailable",
    "Usage",
    "__version__",
]
