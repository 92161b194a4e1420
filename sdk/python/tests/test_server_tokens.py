"""Tokens and embeddings: both clients against the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import realm

if TYPE_CHECKING:
    from caller import Caller
    from serving import Server

CAPITAL = "The capital of France is"
MESSAGES = [{"role": "user", "content": "Hi"}]


def test_a_text_there_and_back(server: Server, caller: Caller) -> None:
    found = caller.call(server.url, lambda client: client.tokenize(prompt=CAPITAL))
    assert (found.tokens, found.count, found.max_model_len) == ((504, 3575, 282, 4649, 314), 5, 1024)
    assert caller.call(server.url, lambda client: client.detokenize(tokens=found.tokens)) == CAPITAL


def test_a_conversation_has_the_tokens_that_a_chat_counts(server: Server, caller: Caller) -> None:
    count = caller.call(server.url, lambda client: client.tokenize(messages=MESSAGES)).count
    answer = caller.call(server.url, lambda client: client.chat.create(messages=MESSAGES, max_tokens=1))
    assert answer.usage.prompt_tokens == count


def test_the_scores_of_a_prompt(server: Server, caller: Caller) -> None:
    options: dict[str, Any] = {"prompt": CAPITAL, "max_tokens": 0, "echo": True, "logprobs": 1}
    answer = caller.call(server.url, lambda client: client.completions.create(**options))
    scores = answer.choices[0].logprobs
    assert "".join(score.token for score in scores) == CAPITAL
    assert scores[0].logprob is None
    assert all(score.logprob < 0 for score in scores[1:])


def test_a_model_that_does_not_embed(server: Server, caller: Caller) -> None:
    with pytest.raises(realm.BadRequestError) as caught:
        caller.call(server.url, lambda client: client.embeddings.create(input=["Hi"]))
    assert (caught.value.param, caught.value.code) == ("model", "model_does_not_embed")
