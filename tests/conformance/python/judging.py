"""What every answer has to keep, whoever asks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx
    import openai


def error_of(answer: httpx.Response, status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The error object of an answer of plain HTTP, in the API's form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["type"].endswith("_error")
    assert isinstance(error["code"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    if code is not None:
        assert error["code"] == code
    assert error["param"] == param, error
    return error


def names_the_field(error: openai.BadRequestError, param: str) -> None:
    """A refusal that says which field it is about."""
    assert error.status_code == 400
    assert error.param == param, error.body
    assert error.type == "invalid_request_error"
    assert error.code
    root = re.split(r"[.\[]", param)[0]
    assert root in error.message or error.code == "context_length_exceeded"
    assert error.request_id


def usage_adds_up(usage: Any) -> None:
    """Counts that a bill could be written from."""
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens >= 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert 0 <= usage.prompt_tokens_details.cached_tokens < usage.prompt_tokens
