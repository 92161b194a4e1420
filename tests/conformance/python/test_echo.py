"""`echo`: the prompt comes back, with the probability of each of its tokens; what scoring programs are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import pytest

from asking import CAPITAL, TEXT
from judging import names_the_field

if TYPE_CHECKING:
    from typing import Any

# The prompt's tokens in the demo model's vocabulary, and the next one.
PROMPT = [504, 3575, 282, 4649, 314]
PARIS = 7042


@pytest.mark.parametrize("prompt", [CAPITAL, PROMPT], ids=["text", "tokens"])
def test_the_prompt_comes_back(client: openai.OpenAI, prompt: object) -> None:
    plain = TEXT.create(client, {"prompt": prompt, "max_tokens": 4})
    answer = TEXT.create(client, {"prompt": prompt, "max_tokens": 4, "echo": True})
    assert TEXT.text(answer) == CAPITAL + TEXT.text(plain)
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.completion_tokens == 4
    chunks = TEXT.stream(client, {"prompt": prompt, "max_tokens": 4, "echo": True})
    assert TEXT.streamed_text(chunks) == TEXT.text(answer)


@pytest.mark.parametrize("top", [0, 1, 5])
@pytest.mark.parametrize("prompt", [CAPITAL, PROMPT], ids=["text", "tokens"])
def test_scores_of_a_prompt(client: openai.OpenAI, prompt: object, top: int) -> None:
    answer = TEXT.create(client, {"prompt": prompt, "max_tokens": 0, "echo": True, "logprobs": top})
    logprobs = answer.choices[0].logprobs
    assert TEXT.text(answer) == CAPITAL == "".join(logprobs.tokens)
    assert answer.usage.completion_tokens == 0
    assert [len(logprobs.token_logprobs), len(logprobs.top_logprobs), len(logprobs.text_offset)] == [5, 5, 5]
    assert logprobs.token_logprobs[0] is None
    assert logprobs.top_logprobs[0] is None
    for index in range(1, 5):
        assert logprobs.token_logprobs[index] <= 0
        assert logprobs.top_logprobs[index][logprobs.tokens[index]] == logprobs.token_logprobs[index]
        assert CAPITAL[logprobs.text_offset[index] :].startswith(logprobs.tokens[index])


def test_scores_of_a_prompt_are_those_of_the_same_answer(client: openai.OpenAI) -> None:
    said = TEXT.create(client, {"max_tokens": 1, "logprobs": 1}).choices[0].logprobs
    scored = TEXT.create(client, {"prompt": [*PROMPT, PARIS], "max_tokens": 0, "echo": True, "logprobs": 1})
    assert said.tokens == [" Paris"]
    assert scored.choices[0].logprobs.token_logprobs[-1] == pytest.approx(said.token_logprobs[0], abs=1e-2)


def test_scores_of_several_prompts(client: openai.OpenAI) -> None:
    prompts = [PROMPT, [*PROMPT, PARIS], PROMPT[:2]]
    answer = TEXT.create(client, {"prompt": prompts, "max_tokens": 0, "echo": True, "logprobs": 1})
    assert [len(choice.logprobs.tokens) for choice in answer.choices] == [5, 6, 2]


@pytest.mark.parametrize(
    ("fields", "param"), [({"max_tokens": 0}, "max_tokens"), ({"echo": "yes"}, "echo"), ({"echo": 1}, "echo")], ids=str
)
def test_refused_by_name(client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        TEXT.create(client, fields)
    names_the_field(caught.value, param)
