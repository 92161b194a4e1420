"""What can go wrong, one class for each thing that a caller may want to treat differently."""

from __future__ import annotations


class RealmError(Exception):
    """Any failure of a request.

    `status` is the HTTP status when there was an answer; `code`, `param` and `type` are the server's words;
    `request_id` names the request in the server's log; `retry_after` is the wait in seconds that the server asks for.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        type: str | None = None,  # noqa: A002 (the name on the wire)
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.param = param
        self.type = type
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        known = {"status": self.status, "code": self.code, "param": self.param, "request": self.request_id}
        facts = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
        return f"{self.message} ({facts})" if facts else self.message


class ConfigError(RealmError, ValueError):
    """The client was made with values that cannot work."""


class APIConnectionError(RealmError, ConnectionError):
    """No answer began: the server was not reached, or the connection went away."""


class APITimeoutError(RealmError, TimeoutError):
    """Nothing came for as long as the timeout allows."""


class ProtocolError(RealmError):
    """The answer is not what the API says, for example because something else answered."""


class StreamCutError(RealmError):
    """A stream was cut before its end; what came so far is not the whole answer."""


class APIError(RealmError):
    """The server answered with an error."""


class StreamError(APIError):
    """The server told of a failure in the middle of a stream; `status` is None."""


class BadRequestError(APIError):
    """400 and other 4xx: the request is wrong; `param` names the field when there is one."""


class AuthenticationError(APIError):
    """401: the API key is missing, wrong or expired."""


class PermissionDeniedError(APIError):
    """403: the tenant may not do this."""


class NotFoundError(APIError):
    """404: no such model, or no such endpoint in this version of the server."""


class UnprocessableEntityError(APIError):
    """422: the request reads well and cannot be carried out."""


class RateLimitError(APIError):
    """429: a limit of the tenant is reached; `retry_after` says how long."""


class OverloadedError(APIError):
    """503, or 429 `overloaded`: the server has too much to do, or is not ready, for every tenant."""


class ServerError(APIError):
    """500 and above: the server failed."""


_BY_STATUS: dict[int, type[APIError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: OverloadedError,
}
_OVERLOADED = (429, "overloaded")
_FIRST_SERVER_ERROR = 500
_FIRST_CLIENT_ERROR = 400


def error_class(status: int, code: str | None) -> type[APIError]:
    """The class of a status and a code."""
    if (status, code) == _OVERLOADED:
        return OverloadedError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _FIRST_SERVER_ERROR:
        return ServerError
    return BadRequestError if status >= _FIRST_CLIENT_ERROR else APIError
