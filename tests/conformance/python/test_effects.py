"""What a field does to the answer, whole and streamed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from asking import CHAT, ENDPOINTS, TEXT, Endpoint
from judging import usage_adds_up
from tables import BOTH, CHAT_ONLY, TEXT_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable

    import openai

# Tokens of the demo model's vocabulary.
PARIS, YES, NO = 7042, 9805, 787
LENGTH, STOP = "length", "stop"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
CITY = {"enum": ["Paris", "Rome", "Berlin"]}


def schema_format(schema: dict[str, Any], *, strict: bool = False) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": strict}}


def fits(schema: dict[str, Any]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        jsonschema.validate(json.loads(text), schema)
        return True

    return check


def is_object(text: str) -> bool:
    return isinstance(json.loads(text), dict)


@dataclass(frozen=True)
class Effect:
    """Fields, and what the answer has to be then."""

    fields: dict[str, Any]
    holds: Callable[[str], bool]
    """Of the text of each choice."""
    reason: str | None = None
    tokens: int | None = None
    choices: int = 1
    endpoints: tuple[str, ...] = BOTH


EFFECTS = [
    Effect({"model": "team/small"}, lambda text: "Paris" in text),
    Effect({"temperature": 0}, lambda text: "Paris" in text),
    Effect({"temperature": 2, "top_p": 1e-6, "seed": 5}, lambda text: "Paris" in text),
    Effect({"top_k": 1, "temperature": 2}, lambda text: "Paris" in text),
    Effect({"min_p": 1, "temperature": 2}, lambda text: "Paris" in text),
    Effect({"max_tokens": 1}, bool, LENGTH, 1),
    Effect({"max_tokens": 4}, bool, LENGTH, 4),
    Effect({"max_tokens": None, "max_completion_tokens": 3}, bool, LENGTH, 3, endpoints=CHAT_ONLY),
    Effect({"n": 3, "max_tokens": 4}, bool, LENGTH, 12, 3),
    Effect({"n": 2, "max_tokens": 3, "temperature": 1, "seed": 1}, bool, LENGTH, 6, 2),
    Effect({"stop": "Paris"}, lambda text: "Paris" not in text, STOP),
    Effect({"stop": ["never said", "aris"]}, lambda text: text.endswith("P"), STOP),
    Effect({"logit_bias": {str(YES): 100}, "max_tokens": 3}, lambda text: text == " yes yes yes", LENGTH, 3),
    Effect({"logit_bias": {str(PARIS): -100}}, lambda text: " Paris" not in text),
    Effect({"response_format": {"type": "json_object"}, "max_tokens": 200}, is_object, STOP, endpoints=CHAT_ONLY),
    Effect({"response_format": schema_format(PERSON), "max_tokens": 200}, fits(PERSON), STOP, endpoints=CHAT_ONLY),
    Effect(
        {"response_format": schema_format(PERSON, strict=True), "max_tokens": 200, "temperature": 1, "seed": 3},
        fits(PERSON),
        STOP,
        endpoints=CHAT_ONLY,
    ),
    Effect({"response_format": schema_format(CITY), "max_tokens": 20}, fits(CITY), STOP),
    Effect({"structured_outputs": {"choice": ["left", "right"]}}, lambda text: text in {"left", "right"}, STOP),
    Effect(
        {"structured_outputs": {"regex": "[0-9]{3}-[0-9]{2}"}}, lambda text: text[3] == "-" and len(text) == 6, STOP
    ),
    Effect({"guided_json": CITY}, fits(CITY), STOP),
    Effect({"prompt": "One, two, three, four,"}, lambda text: " five" in text, endpoints=TEXT_ONLY),
    Effect({"prompt": [504, 3575, 282, 4649, 314]}, lambda text: "Paris" in text, endpoints=TEXT_ONLY),
    Effect({"prompt": [[504, 3575, 282, 4649, 314]]}, lambda text: "Paris" in text, endpoints=TEXT_ONLY),
    Effect({"prompt": ["One, two,", "One, two,"], "max_tokens": 2}, bool, LENGTH, 4, 2, TEXT_ONLY),
    Effect({"prompt": ["One, two,", "A, B,"], "n": 2, "max_tokens": 2}, bool, LENGTH, 8, 4, TEXT_ONLY),
    Effect({"n": 2, "best_of": 2, "max_tokens": 2}, bool, LENGTH, 4, 2, TEXT_ONLY),
    Effect(
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Name the capital of France."}]}]},
        lambda text: "Paris" in text,
        endpoints=CHAT_ONLY,
    ),
    Effect(
        {
            "messages": [
                {"role": "developer", "content": "You answer in one word."},
                {"role": "user", "content": "Name the capital of Italy."},
                {"role": "assistant", "content": "Rome."},
                {"role": "user", "content": "Name the capital of France."},
            ]
        },
        lambda text: "Paris" in text,
        endpoints=CHAT_ONLY,
    ),
]
CASES = [(ENDPOINTS[name], effect) for effect in EFFECTS for name in effect.endpoints]


def named(value: object) -> str | None:
    if isinstance(value, Endpoint):
        return value.name
    return str(value.fields)[:60] if isinstance(value, Effect) else None


@pytest.mark.parametrize(("endpoint", "effect"), CASES, ids=named)
def test_whole(client: openai.OpenAI, endpoint: Endpoint, effect: Effect) -> None:
    answer = endpoint.create(client, effect.fields)
    assert [choice.index for choice in answer.choices] == list(range(effect.choices))
    for index, choice in enumerate(answer.choices):
        assert effect.holds(endpoint.text(answer, index)), endpoint.text(answer, index)
        assert effect.reason in (None, choice.finish_reason)
    assert effect.tokens in (None, answer.usage.completion_tokens)
    usage_adds_up(answer.usage)


@pytest.mark.parametrize(("endpoint", "effect"), CASES, ids=named)
def test_streamed(client: openai.OpenAI, endpoint: Endpoint, effect: Effect) -> None:
    chunks = endpoint.stream(client, {**effect.fields, "stream_options": {"include_usage": True}})
    whole = endpoint.create(client, {**effect.fields, "seed": effect.fields.get("seed", 1)})
    for index in range(effect.choices):
        text = endpoint.streamed_text(chunks, index)
        assert effect.holds(text), text
        assert effect.fields.get("temperature") or text == endpoint.text(whole, index)
    reasons = [piece.finish_reason for chunk in chunks for piece in chunk.choices if piece.finish_reason]
    assert len(reasons) == effect.choices
    assert effect.reason is None or set(reasons) == {effect.reason}
    assert effect.tokens in (None, chunks[-1].usage.completion_tokens)
    usage_adds_up(chunks[-1].usage)


@pytest.mark.parametrize("endpoint", [CHAT, TEXT], ids=named)
def test_a_seed_gives_the_same_answer_again(client: openai.OpenAI, endpoint: Endpoint) -> None:
    def ask(seed: int) -> list[str]:
        answer = endpoint.create(client, {"temperature": 1.5, "seed": seed, "n": 2, "max_tokens": 16})
        assert answer.system_fingerprint
        return [endpoint.text(answer, 0), endpoint.text(answer, 1)]

    first = ask(7)
    assert ask(7) == first
    assert first[0] != first[1]
    assert ask(8) != first


@pytest.mark.parametrize("endpoint", [CHAT, TEXT], ids=named)
def test_without_a_seed_answers_differ(client: openai.OpenAI, endpoint: Endpoint) -> None:
    fields = {"temperature": 2, "max_tokens": 24}
    assert endpoint.text(endpoint.create(client, fields)) != endpoint.text(endpoint.create(client, fields))


@pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
@pytest.mark.parametrize("endpoint", [CHAT, TEXT], ids=named)
def test_penalties_bring_other_words(client: openai.OpenAI, endpoint: Endpoint, penalty: str) -> None:
    """Two words are wanted almost alike; without a penalty the same one comes again and again."""
    asked = "Say yes or no."
    least = {"messages": [{"role": "user", "content": asked}]} if endpoint is CHAT else {"prompt": "yes no yes no"}
    fields = {**least, "max_tokens": 16, "logit_bias": {str(YES): 50, str(NO): 48}}

    def words(value: float) -> list[str]:
        return endpoint.text(endpoint.create(client, {**fields, penalty: value})).split()

    assert words(0) == ["yes"] * 16
    assert set(words(2)) == {"yes", "no"}
    assert words(-2) == ["yes"] * 16
    assert penalty == "presence_penalty" or 6 <= words(2).count("no") <= 10
