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


class ConnectionFailed(RealmError, ConnectionError):
    """No answer began: the server was not reached, or the connection went away."""


class RequestTimeout(RealmError, TimeoutError):
    """Nothing came for as long as the timeout allows."""


class InvalidAnswer(RealmError):
    """The answer is not what the API says, for example because something else answered."""


class StreamBroken(RealmError):
    """A stream was cut before its end; what came so far is not the whole answer."""


class StreamFailed(RealmError):
    """The server told of a failure in the middle of a stream."""


class StatusError(RealmError):
    """The server refused: the answer's status is not 2xx."""


class BadRequest(StatusError):
    """400, 413, 415, 422 and other 4xx: the request is wrong; `param` names the field when there is one."""


class Unauthorized(StatusError):
    """401: the API key is missing, wrong or expired."""


class Forbidden(StatusError):
    """403: the tenant may not do this."""


class NotFound(StatusError):
    """404: no such model, or no such endpoint in this version of the server."""


class RateLimited(StatusError):
    """429: a limit of the tenant is reached, or the server is overloaded; `retry_after` says how long."""


class ServerError(StatusError):
    """5xx: the server failed."""


class Unavailable(ServerError):
    """503: the server is not ready or is stopping."""


_BY_STATUS: dict[int, type[StatusError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    429: RateLimited,
    503: Unavailable,
}
_FIRST_SERVER_ERROR = 500
_FIRST_CLIENT_ERROR = 400


def error_class(status: int) -> type[StatusError]:
    """The class of a status."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= _FIRST_SERVER_ERROR:
        return ServerError
    return BadRequest if status >= _FIRST_CLIENT_ERROR else StatusError
