"""`/tokenize` and `/detokenize`, with which users find the ids that `logit_bias` and prompts take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from asking import CAPITAL, MODEL, QUESTION, TEXT
from judging import error_of

if TYPE_CHECKING:
    import httpx
    import openai


def ids(http: httpx.Client, **fields: Any) -> list[int]:
    answer = http.post("/tokenize", json={"model": MODEL, **fields})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["count"] == len(found["tokens"])
    assert found["max_model_len"] == 1024
    return list(found["tokens"])


def test_a_text(http: httpx.Client) -> None:
    assert ids(http, prompt=CAPITAL) == [504, 3575, 282, 4649, 314]


@pytest.mark.parametrize("text", [CAPITAL, "", "  two  spaces\n\ttabs", "Grüße, 世界 🙂", "<|im_start|>user\n"])
def test_there_and_back(http: httpx.Client, text: str) -> None:
    answer = http.post("/detokenize", json={"model": MODEL, "tokens": ids(http, prompt=text)})
    assert answer.json() == {"prompt": text}


def test_a_conversation_has_the_tokens_that_a_chat_counts(http: httpx.Client, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1)  # type: ignore[arg-type]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(ids(http, messages=QUESTION))


def test_ids_are_what_a_bias_takes(http: httpx.Client, client: openai.OpenAI) -> None:
    (token,) = ids(http, prompt=" yes")
    assert TEXT.text(TEXT.create(client, {"logit_bias": {str(token): 100}, "max_tokens": 2})) == " yes yes"


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": 5}, "prompt"),
        ("/tokenize", {"prompt": "a", "more": 1}, "more"),
        ("/detokenize", {}, "tokens"),
        ("/detokenize", {"tokens": "a"}, "tokens"),
        ("/detokenize", {"tokens": [49152]}, "tokens"),
        ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
    ],
    ids=str,
)
def test_refused_by_name(http: httpx.Client, path: str, fields: dict[str, Any], param: str) -> None:
    error_of(http.post(path, json={"model": MODEL, **fields}), 400, param=param)


def test_an_unknown_model(http: httpx.Client) -> None:
    error_of(http.post("/tokenize", json={"model": "other", "prompt": "a"}), 404, "model_not_found", "model")
