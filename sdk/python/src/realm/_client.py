"""The sync client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realm import _calls, _official
from realm._connection import Connection
from realm._retry import DEFAULT_RETRIES
from realm._settings import DEFAULT_TIMEOUT, Settings
from realm.chat import Chat
from realm.completions import Completions
from realm.embeddings import Embeddings
from realm.models import Models

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import httpx
    import openai
    from typing_extensions import Self, Unpack

    from realm.answers import Tokens
    from realm.params import DetokenizeParams, TokenizeParams


class Realm:
    """Talks to a Realm server. May be shared by threads.

    `base_url`, `api_key` and `model` come from the arguments, else from REALM_BASE_URL, REALM_API_KEY and REALM_MODEL.
    Without a model the client asks the server once and takes the first that it lists.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        model: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self.settings = Settings.resolve(
            base_url, api_key, model=model, timeout=timeout, max_retries=max_retries, headers=headers
        )
        self._connection = Connection(self.settings, http)
        self.completions = Completions(self._connection)
        self.chat = Chat(self._connection)
        self.embeddings = Embeddings(self._connection)
        self.models = Models(self._connection)

    def tokenize(self, **params: Unpack[TokenizeParams]) -> Tokens:
        """A text or a conversation as the model's token ids."""
        return self._connection.send(_calls.tokenize(params))

    def detokenize(self, **params: Unpack[DetokenizeParams]) -> str:
        """Token ids as text."""
        return self._connection.send(_calls.detokenize(params))

    def openai(self) -> openai.OpenAI:
        """The official client for the same server; needs `realm[openai]`.

        Without a key it sends `none`, as it must send one; a server whose tenants have keys refuses that.
        """
        try:
            from openai import OpenAI  # noqa: PLC0415 (an optional package)
        except ImportError as error:
            raise _official.missing(error) from error
        return OpenAI(**_official.arguments(self.settings))

    def close(self) -> None:
        """Closes idle connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
