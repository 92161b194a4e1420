"""Probabilities, in each endpoint's own shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from asking import CHAT, TEXT

if TYPE_CHECKING:
    import openai


@pytest.mark.parametrize("top", [0, 1, 5, 20])
def test_of_a_chat(client: openai.OpenAI, top: int) -> None:
    fields = {"logprobs": True, "top_logprobs": top, "max_tokens": 4}
    answer = CHAT.create(client, fields)
    entries = answer.choices[0].logprobs.content
    assert "".join(entry.token for entry in entries) == CHAT.text(answer)
    assert len(entries) == answer.usage.completion_tokens == 4
    for entry in entries:
        assert bytes(entry.bytes).decode() == entry.token
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == top
        likely = [other.logprob for other in entry.top_logprobs]
        assert likely == sorted(likely, reverse=True)
        assert sum(map(math.exp, likely)) <= 1 + 1e-4
        # Greedy: the chosen token is the most likely one.
        assert all(other.token == entry.token for other in entry.top_logprobs[:1])
    chunks = CHAT.stream(client, fields)
    streamed = [
        entry for chunk in chunks for piece in chunk.choices if piece.logprobs for entry in piece.logprobs.content
    ]
    assert [entry.token for entry in streamed] == [entry.token for entry in entries]
    assert [entry.logprob for entry in streamed] == pytest.approx([entry.logprob for entry in entries], abs=1e-3)


@pytest.mark.parametrize("top", [0, 1, 5])
def test_of_a_completion(client: openai.OpenAI, top: int) -> None:
    fields = {"logprobs": top, "max_tokens": 4}
    answer = TEXT.create(client, fields)
    text, logprobs = TEXT.text(answer), answer.choices[0].logprobs
    assert "".join(logprobs.tokens) == text
    lists = (logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, logprobs.text_offset)
    assert [len(entries) for entries in lists] == [4, 4, 4, 4]
    for token, logprob, likely, offset in zip(*lists, strict=True):
        assert text[offset:].startswith(token)
        assert logprob <= 0
        assert likely[token] == logprob
        assert max(top, 1) <= len(likely) <= top + 1
        assert logprob == max(likely.values())
    chunks = TEXT.stream(client, fields)
    pieces = [piece.logprobs for chunk in chunks for piece in chunk.choices if piece.logprobs]
    assert [token for piece in pieces for token in piece.tokens] == logprobs.tokens
    assert [offset for piece in pieces for offset in piece.text_offset] == logprobs.text_offset


@pytest.mark.parametrize("logprobs", [False, None])
def test_none_unless_asked_for(client: openai.OpenAI, logprobs: bool | None) -> None:
    assert CHAT.create(client, {"logprobs": logprobs}).choices[0].logprobs is None
    assert TEXT.create(client, {}).choices[0].logprobs is None


def test_a_bias_chooses_and_the_probability_stays_the_models_own(client: openai.OpenAI) -> None:
    answer = TEXT.create(client, {"logprobs": 1, "max_tokens": 1, "logit_bias": {"9805": 100}})
    free = TEXT.create(client, {"logprobs": 1, "max_tokens": 1})
    assert answer.choices[0].logprobs.tokens == [" yes"]
    assert answer.choices[0].logprobs.token_logprobs[0] < free.choices[0].logprobs.token_logprobs[0]
    likely = answer.choices[0].logprobs.top_logprobs[0]
    assert {token: value for token, value in likely.items() if token != " yes"} == pytest.approx(
        free.choices[0].logprobs.top_logprobs[0], abs=1e-3
    )
