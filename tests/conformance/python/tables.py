"""The cases that are the same question with other data: which fields are refused, and how the rest shows its effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BOTH = ("chat", "completions")
CHAT_ONLY = ("chat",)
TEXT_ONLY = ("completions",)


@dataclass(frozen=True)
class Refused:
    """A field that gets a 400 which names it."""

    fields: dict[str, Any]
    param: str
    endpoints: tuple[str, ...] = BOTH


def message(**fields: Any) -> dict[str, Any]:
    """A conversation of one message."""
    return {"messages": [fields]}


FUNCTION = {"type": "function", "function": {"name": "clock"}}

REFUSED = [
    # Out of range.
    Refused({"temperature": -0.1}, "temperature"),
    Refused({"temperature": 2.1}, "temperature"),
    Refused({"top_p": -0.1}, "top_p"),
    Refused({"top_p": 1.1}, "top_p"),
    Refused({"max_tokens": -1}, "max_tokens"),
    Refused({"max_tokens": 2**63}, "max_tokens"),
    Refused({"n": 0}, "n"),
    Refused({"n": 129}, "n"),
    Refused({"stop": ""}, "stop[0]"),
    Refused({"stop": ["a"] * 17}, "stop"),
    Refused({"presence_penalty": 2.1}, "presence_penalty"),
    Refused({"frequency_penalty": -2.1}, "frequency_penalty"),
    Refused({"logit_bias": {"5": 101}}, "logit_bias.5"),
    Refused({"logit_bias": {"five": 1}}, "logit_bias"),
    Refused({"logit_bias": {"49152": 1}}, "logit_bias"),
    Refused({"seed": 2**64}, "seed"),
    # Of another type.
    Refused({"model": 5}, "model"),
    Refused({"temperature": "0"}, "temperature"),
    Refused({"top_p": [1]}, "top_p"),
    Refused({"max_tokens": 1.5}, "max_tokens"),
    Refused({"n": "1"}, "n"),
    Refused({"seed": "1"}, "seed"),
    Refused({"stop": 5}, "stop"),
    Refused({"stop": ["a", 5]}, "stop[1]"),
    Refused({"stream": "yes"}, "stream"),
    Refused({"logit_bias": [[5, 1]]}, "logit_bias"),
    Refused({"presence_penalty": "1"}, "presence_penalty"),
    Refused({"frequency_penalty": True}, "frequency_penalty"),
    # Only with a stream, and only what is known.
    Refused({"stream_options": {"include_usage": True}}, "stream_options"),
    Refused({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    Refused({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
    # Misspelt, or of another endpoint.
    Refused({"temprature": 1}, "temprature"),
    Refused({"prompt": "Hi"}, "prompt", CHAT_ONLY),
    Refused({"messages": []}, "messages", TEXT_ONLY),
    Refused({"tools": [FUNCTION]}, "tools", TEXT_ONLY),
    # Missing or empty.
    Refused({"model": None}, "model"),
    Refused({"messages": None}, "messages", CHAT_ONLY),
    Refused({"messages": []}, "messages", CHAT_ONLY),
    Refused({"prompt": None}, "prompt", TEXT_ONLY),
    Refused({"prompt": ""}, "prompt", TEXT_ONLY),
    Refused({"prompt": []}, "prompt", TEXT_ONLY),
    # Prompts.
    Refused({"prompt": 5}, "prompt", TEXT_ONLY),
    Refused({"prompt": [-1]}, "prompt[0]", TEXT_ONLY),
    Refused({"prompt": [5, 49152]}, "prompt", TEXT_ONLY),
    Refused({"prompt": ["a", 5]}, "prompt[1]", TEXT_ONLY),
    Refused({"prompt": "word " * 2000}, "prompt", TEXT_ONLY),
    Refused({"prompt": [5] * 1024}, "prompt", TEXT_ONLY),
    Refused({"suffix": "end"}, "suffix", TEXT_ONLY),
    Refused({"best_of": 0}, "best_of", TEXT_ONLY),
    Refused({"n": 3, "best_of": 2}, "best_of", TEXT_ONLY),
    Refused({"logprobs": 6}, "logprobs", TEXT_ONLY),
    Refused({"logprobs": -1}, "logprobs", TEXT_ONLY),
    Refused({"logprobs": True}, "logprobs", TEXT_ONLY),
    # Messages.
    Refused({"messages": "Hi"}, "messages", CHAT_ONLY),
    Refused({"messages": ["Hi"]}, "messages[0]", CHAT_ONLY),
    Refused(message(content="Hi"), "messages[0].role", CHAT_ONLY),
    Refused(message(role="king", content="Hi"), "messages[0].role", CHAT_ONLY),
    Refused(message(role="user"), "messages[0].content", CHAT_ONLY),
    Refused(message(role="user", content=5), "messages[0].content", CHAT_ONLY),
    Refused(message(role="user", content="Hi", name="bob"), "messages[0].name", CHAT_ONLY),
    Refused(message(role="user", content="Hi", mood=1), "messages[0].mood", CHAT_ONLY),
    Refused(
        message(role="user", content=[{"type": "image_url", "image_url": {"url": "http://h/a.png"}}]),
        "messages[0].content[0].type",
        CHAT_ONLY,
    ),
    Refused(message(role="user", content=[{"type": "text"}]), "messages[0].content[0].text", CHAT_ONLY),
    Refused(message(role="tool", content="12:00"), "messages[0].tool_call_id", CHAT_ONLY),
    Refused(message(role="user", content="word " * 2000), "messages", CHAT_ONLY),
    # Fields of a chat that this server does not have, or not with this value.
    Refused({"max_tokens": 3, "max_completion_tokens": 4}, "max_completion_tokens", CHAT_ONLY),
    Refused({"logprobs": 3}, "logprobs", CHAT_ONLY),
    Refused({"top_logprobs": 3}, "top_logprobs", CHAT_ONLY),
    Refused({"logprobs": True, "top_logprobs": 21}, "top_logprobs", CHAT_ONLY),
    Refused({"audio": {"voice": "alloy", "format": "wav"}}, "audio", CHAT_ONLY),
    Refused({"modalities": ["text", "audio"]}, "modalities", CHAT_ONLY),
    Refused({"functions": [{"name": "clock"}]}, "functions", CHAT_ONLY),
    Refused({"function_call": "auto"}, "function_call", CHAT_ONLY),
    Refused({"moderation": {"model": "m"}}, "moderation", CHAT_ONLY),
    Refused({"prediction": {"type": "content", "content": "a"}}, "prediction", CHAT_ONLY),
    Refused({"prompt_cache_options": {"mode": "auto"}}, "prompt_cache_options", CHAT_ONLY),
    Refused({"prompt_cache_retention": "24h"}, "prompt_cache_retention", CHAT_ONLY),
    Refused({"reasoning_effort": "low"}, "reasoning_effort", CHAT_ONLY),
    Refused({"service_tier": "flex"}, "service_tier", CHAT_ONLY),
    Refused({"verbosity": "low"}, "verbosity", CHAT_ONLY),
    Refused({"web_search_options": {}}, "web_search_options", CHAT_ONLY),
    # Answers of a form.
    Refused({"response_format": {"type": "xml"}}, "response_format.type", CHAT_ONLY),
    Refused({"response_format": {"type": "json_schema"}}, "response_format.json_schema", CHAT_ONLY),
    Refused(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
        CHAT_ONLY,
    ),
    Refused(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "strin"}}}},
        "response_format.json_schema.schema",
        CHAT_ONLY,
    ),
    # Tools: this model's template has no place for them.
    Refused({"tools": [FUNCTION]}, "tools", CHAT_ONLY),
    Refused({"tools": [FUNCTION], "tool_choice": "required"}, "tools", CHAT_ONLY),
    Refused({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type", CHAT_ONLY),
    Refused({"tools": [{"type": "function"}]}, "tools[0].function", CHAT_ONLY),
    Refused({"tool_choice": "auto"}, "tool_choice", CHAT_ONLY),
    Refused({"parallel_tool_calls": True}, "parallel_tool_calls", CHAT_ONLY),
]

ACCEPTED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    # Bookkeeping, and values that ask for what is done anyway. The answer is that of the least request.
    ({"user": "u"}, BOTH),
    ({"metadata": {"a": "b"}}, CHAT_ONLY),
    ({"store": True}, CHAT_ONLY),
    ({"safety_identifier": "s"}, CHAT_ONLY),
    ({"prompt_cache_key": "k"}, CHAT_ONLY),
    ({"service_tier": "auto"}, CHAT_ONLY),
    ({"modalities": ["text"]}, CHAT_ONLY),
    ({"response_format": {"type": "text"}}, CHAT_ONLY),
    ({"tools": [], "tool_choice": "none"}, CHAT_ONLY),
    ({"n": 1}, BOTH),
    ({"stop": None}, BOTH),
    ({"seed": -1}, BOTH),
    ({"seed": 2**63}, BOTH),
    ({"top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "logit_bias": {}}, BOTH),
    ({"stream": False, "stream_options": None}, BOTH),
    ({"best_of": 1}, TEXT_ONLY),
    ({"echo": False, "suffix": None}, TEXT_ONLY),
    ({"logprobs": None}, BOTH),
]
