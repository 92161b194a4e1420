"""Limits of tenants: told with each answer, refused with 429 and a time. Each case has a tenant of its own."""

from __future__ import annotations

import openai
import pytest

from asking import CHAT, TEXT, official


def headers_of(client: openai.OpenAI, **fields: object) -> dict[str, str]:
    answer = client.completions.with_raw_response.create(**{**TEXT.least, **fields})
    return dict(answer.headers.items())


def test_requests_of_a_minute(url: str) -> None:
    with official(url, "requests") as client:
        for left in ("1", "0"):
            headers = headers_of(client, max_tokens=1)
            assert headers["x-ratelimit-limit-requests"] == "2"
            assert headers["x-ratelimit-remaining-requests"] == left
            assert headers["x-ratelimit-reset-requests"].endswith("s")
        with pytest.raises(openai.RateLimitError) as caught:
            CHAT.create(client, {"max_tokens": 1})
    error = caught.value
    assert (error.status_code, error.code, error.type) == (429, "requests_per_minute_exceeded", "rate_limit_error")
    assert error.request_id
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"


def test_tokens_of_a_minute(url: str) -> None:
    with official(url, "tokens") as client:
        headers = headers_of(client, max_tokens=15)
        assert headers["x-ratelimit-limit-tokens"] == "20"
        assert int(headers["x-ratelimit-remaining-tokens"]) <= 20 - 15 + 5
        with pytest.raises(openai.RateLimitError) as caught:
            TEXT.create(client, {"max_tokens": 18})
        assert caught.value.code == "output_tokens_per_minute_exceeded"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


def test_a_prompt_beyond_the_whole_limit_is_no_matter_of_time(url: str) -> None:
    with official(url, "input") as client:
        TEXT.create(client, {"prompt": [5] * 8, "max_tokens": 1})
        with pytest.raises(openai.RateLimitError) as later:
            TEXT.create(client, {"prompt": [5] * 8, "max_tokens": 1})
        with pytest.raises(openai.BadRequestError) as never:
            TEXT.create(client, {"prompt": [5] * 11, "max_tokens": 1})
    assert later.value.code == never.value.code == "input_tokens_per_minute_exceeded"
    assert "retry-after" in later.value.response.headers
    assert "retry-after" not in never.value.response.headers


def test_tokens_of_a_day(url: str) -> None:
    with official(url, "day") as client:
        TEXT.create(client, {"max_tokens": 10})
        with pytest.raises(openai.RateLimitError) as caught:
            TEXT.create(client, {"max_tokens": 20})
    assert caught.value.code == "tokens_per_day_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 86_400


def test_the_size_of_one_request(url: str) -> None:
    with official(url, "capped") as client:
        with pytest.raises(openai.BadRequestError) as caught:
            TEXT.create(client, {"max_tokens": 6})
        assert (caught.value.code, caught.value.param) == ("max_output_tokens_exceeded", "max_tokens")
        with pytest.raises(openai.BadRequestError) as caught:
            TEXT.create(client, {"prompt": "word " * 100, "max_tokens": 1})
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")
        answer = TEXT.create(client, {"max_tokens": None})
        assert answer.usage.completion_tokens == 5


def test_a_tenant_without_limits_gets_no_such_headers(client: openai.OpenAI) -> None:
    assert not [name for name in headers_of(client, max_tokens=1) if name.startswith("x-ratelimit")]
