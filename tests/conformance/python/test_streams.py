"""Streams on the wire, and through the official client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from asking import CHAT, ENDPOINTS, Endpoint

if TYPE_CHECKING:
    import httpx
    import openai

BOTH = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)


def events(http: httpx.Client, endpoint: Endpoint, **fields: Any) -> list[str]:
    """The data of all events; everything else on the wire must be a comment or an empty line."""
    with http.stream("POST", endpoint.path, json={**endpoint.least, "stream": True, **fields}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-request-id"]
        lines = list(answer.iter_lines())
    assert all(line == "" or line.startswith(("data: ", ":")) for line in lines)
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


@BOTH
def test_the_end_is_marked(http: httpx.Client, endpoint: Endpoint) -> None:
    found = events(http, endpoint)
    assert found[-1] == "[DONE]"
    assert "[DONE]" not in found[:-1]
    chunks = [json.loads(event) for event in found[:-1]]
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    assert not any("usage" in chunk for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] in {"stop", "length"}


@BOTH
@pytest.mark.parametrize("include", [True, False])
def test_counts_come_when_asked_for(http: httpx.Client, endpoint: Endpoint, *, include: bool) -> None:
    chunks = [json.loads(event) for event in events(http, endpoint, stream_options={"include_usage": include})[:-1]]
    if include:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] == 12 or chunks[-2]["choices"][0]["finish_reason"] == "stop"
        assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    else:
        assert not any("usage" in chunk for chunk in chunks)


def test_a_chat_begins_with_its_role(http: httpx.Client) -> None:
    chunks = [json.loads(event) for event in events(http, CHAT, n=2)[:-1]]
    for index in (0, 1):
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"][0]["index"] == index]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert all(list(delta) == ["content"] for delta in deltas[1:-1])
        assert deltas[-1] == {}


@BOTH
def test_text_comes_in_pieces(client: openai.OpenAI, endpoint: Endpoint) -> None:
    chunks = endpoint.stream(client, {})
    assert len(chunks) >= 5
    assert endpoint.streamed_text(chunks) == endpoint.text(endpoint.create(client, {}))


@BOTH
def test_whole_characters_only(client: openai.OpenAI, endpoint: Endpoint) -> None:
    """Characters of several tokens are never cut, though each of their tokens is sent as it comes."""
    fields = {"structured_outputs": {"choice": ["🙂 Grüße, 世界 🙃"]}, "max_tokens": 60}
    chunks = endpoint.stream(client, fields)
    assert endpoint.streamed_text(chunks) == "🙂 Grüße, 世界 🙃"
    pieces = [piece for chunk in chunks for piece in chunk.choices]
    assert not any("\ufffd" in str(piece) for piece in pieces)


@BOTH
def test_an_error_before_the_stream_is_no_stream(client: openai.OpenAI, http: httpx.Client, endpoint: Endpoint) -> None:
    answer = http.post(endpoint.path, json={**endpoint.least, "stream": True, "n": 0})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "n"
    assert endpoint.stream(client, {"max_tokens": 1})


@BOTH
def test_a_reader_who_leaves_ends_the_answer(client: openai.OpenAI, endpoint: Endpoint) -> None:
    """More streams are left than the server has places at a time; the next request is answered all the same."""
    resource: Any = client.chat.completions if endpoint is CHAT else client.completions
    for _ in range(20):
        with resource.create(
            **{**endpoint.least, "max_tokens": 900, "stream": True, "logit_bias": {"2": -100}}
        ) as chunks:
            next(iter(chunks))
    assert endpoint.text(endpoint.create(client, {"max_tokens": 2}))


def test_the_official_helper_puts_a_stream_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(**CHAT.least) as stream:
        kinds = [event.type for event in stream]
    final = stream.get_final_completion()
    assert final.choices[0].message.content == CHAT.text(CHAT.create(client, {}))
    assert {"content.delta", "content.done", "chunk"} <= set(kinds)
