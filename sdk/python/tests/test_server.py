"""Both clients against the real server with the real model."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import realm
from realm import AsyncRealm, Realm

if TYPE_CHECKING:
    from caller import Caller
    from serving import Server

CAPITAL = "The capital of France is"
QUESTION = [{"role": "user", "content": "Name the capital of France."}]
LIMITED = "rlm_key_of_the_limited_tenant"


def test_a_completion(server: Server, caller: Caller) -> None:
    use = lambda client: client.completions.create(prompt=CAPITAL, max_tokens=4, temperature=0, logprobs=2)  # noqa: E731
    answer = caller.call(server.url, use)
    assert "Paris" in answer.text
    assert (answer.model, answer.finish_reason, answer.usage.completion_tokens) == ("smollm2", "length", 4)
    assert answer.request_id.startswith("req-")
    assert len(answer.choices[0].logprobs) == 4
    assert all(entry.logprob <= 0 and len(entry.top) >= 2 for entry in answer.choices[0].logprobs)


def test_a_chat_whole_and_streamed_say_the_same(server: Server, caller: Caller) -> None:
    options: dict[str, Any] = {"messages": QUESTION, "max_tokens": 20, "temperature": 0}
    whole = caller.call(server.url, lambda client: client.chat.create(**options))
    tokens, stream = caller.tokens(server.url, lambda client: client.chat.stream(**options))
    assert "Paris" in whole.text
    assert "".join(token.text for token in tokens) == stream.text == whole.text
    assert (stream.finish_reason, stream.usage.completion_tokens) == (
        whole.finish_reason,
        whole.usage.completion_tokens,
    )
    assert len(tokens) > 2


def test_an_answer_of_a_form(server: Server, caller: Caller) -> None:
    schema = {"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    options: dict[str, Any] = {"messages": QUESTION, "max_tokens": 60, "temperature": 0, "response_format": form}
    answer = caller.call(server.url, lambda client: client.chat.create(**options))
    assert list(json.loads(answer.text)) == ["capital"]


def test_models(server: Server, caller: Caller) -> None:
    assert [model.id for model in caller.call(server.url, lambda client: client.models.list())] == ["smollm2"]
    assert caller.call(server.url, lambda client: client.models.retrieve("smollm2")).owned_by == "realm"
    with pytest.raises(realm.NotFoundError) as caught:
        caller.call(server.url, lambda client: client.models.retrieve("other"))
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_errors_say_what_the_server_says(server: Server, caller: Caller) -> None:
    with pytest.raises(realm.BadRequestError) as caught:
        caller.call(server.url, lambda client: client.completions.create(prompt="a", temperature=9, request_id="r-1"))
    error = caught.value
    facts = (error.status, error.param, error.code, error.type, error.request_id)
    assert facts == (400, "temperature", "invalid_value", "invalid_request_error", "r-1")
    with pytest.raises(realm.AuthenticationError):
        caller.call(server.url, lambda client: client.models.list(), api_key="rlm_wrong")


def test_a_limit_says_when_to_come_back(server: Server) -> None:
    with Realm(server.url, LIMITED, max_retries=0) as client:
        client.completions.create(prompt="a", max_tokens=1)
        with pytest.raises(realm.RateLimitError) as caught:
            client.completions.create(prompt="a", max_tokens=1)
    assert caught.value.code == "requests_per_minute_exceeded"
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 60


def test_a_closed_stream_frees_the_server(server: Server) -> None:
    """More streams than the server has places at a time, each left after its first token."""
    with Realm(server.url) as client:
        for _ in range(12):
            with client.completions.stream(prompt="Once upon a time", max_tokens=900, stop="\0") as stream:
                assert next(stream).text
        assert client.completions.create(prompt=CAPITAL, max_tokens=1).usage.completion_tokens == 1


def test_many_at_a_time(server: Server) -> None:
    async def ask() -> list[realm.Completion]:
        async with AsyncRealm(server.url) as client:
            asked = [client.completions.create(prompt=CAPITAL, max_tokens=3, temperature=0) for _ in range(8)]
            return await asyncio.gather(*asked)

    assert len({answer.text for answer in asyncio.run(ask())}) == 1


def test_the_official_client_is_configured() -> None:
    with Realm("http://h:1", "rlm_k", timeout=7, max_retries=3) as client, client.openai() as official:
        assert (str(official.base_url), official.api_key, official.max_retries) == ("http://h:1/v1/", "rlm_k", 3)
        assert official.timeout == 7


def test_the_official_clients_talk_to_the_same_server(server: Server) -> None:
    with Realm(server.url, LIMITED) as client, client.openai() as official:
        assert [model.id for model in official.models.list()] == ["smollm2"]

    async def names() -> list[str]:
        async with AsyncRealm(server.url, LIMITED) as client, client.openai() as official:
            return [model.id async for model in official.models.list()]

    assert asyncio.run(names()) == ["smollm2"]
