"""Calls of tools through the official client, from a model whose template has a place for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import openai
import pytest

import tool_model
from asking import MODEL, official
from judging import names_the_field
from serving import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

CITY = {"enum": ["Paris", "Rome"]}
WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {"city": CITY, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "clock", "strict": True}},
]
NAMED = {"type": "function", "function": {"name": "clock"}}
QUESTION = [{"role": "user", "content": "What is the weather in Paris for 3 days?"}]
SCHEMAS = {"get_weather": WEATHER, "clock": {"type": "object", "maxProperties": 0}}


@pytest.fixture(scope="module")
def tools_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    model, manifest = tool_model.write(tmp_path_factory.mktemp("model"))
    with serve(manifest, str(model)) as server, official(server.url) as client:
        yield client


def ask(client: openai.OpenAI, **fields: Any) -> Any:
    least: dict[str, Any] = {"model": MODEL, "messages": QUESTION, "tools": TOOLS, "temperature": 0, "max_tokens": 300}
    least["parallel_tool_calls"] = False  # The model would call on and on.
    create: Any = client.chat.completions.create
    return create(**{**least, **fields})


def check_call(name: str, arguments: str) -> None:
    jsonschema.validate(json.loads(arguments), SCHEMAS[name])


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"get_weather", "clock"}),
        (NAMED, {"clock"}),
        ({"type": "function", "function": {"name": "get_weather"}}, {"get_weather"}),
    ],
    ids=["required", "clock", "get_weather"],
)
def test_a_call_that_must_come(tools_client: openai.OpenAI, choice: Any, names: set[str]) -> None:
    fields = {"tool_choice": choice}
    answer = ask(tools_client, **fields).choices[0]
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    (call,) = answer.message.tool_calls
    assert call.type == "function"
    assert call.id
    assert call.function.name in names
    check_call(call.function.name, call.function.arguments)
    check_stream(tools_client, fields, call)


def check_stream(client: openai.OpenAI, fields: dict[str, Any], whole: Any) -> None:
    """The same call in pieces: id and name with the first, arguments bit by bit, each with its index."""
    pieces: list[Any] = []
    reasons: list[str | None] = []
    for chunk in ask(client, stream=True, **fields):
        pieces += chunk.choices[0].delta.tool_calls or []
        reasons.append(chunk.choices[0].finish_reason)
        assert not chunk.choices[0].delta.content
    assert {piece.index for piece in pieces} == {0}
    assert (pieces[0].type, pieces[0].function.name) == ("function", whole.function.name)
    assert pieces[0].id
    assert not any(piece.id or piece.function.name for piece in pieces[1:])
    assert "".join(piece.function.arguments for piece in pieces) == whole.function.arguments
    assert reasons[-1] == "tool_calls"
    assert not any(reasons[:-1])


def test_several_calls_have_their_own_index(tools_client: openai.OpenAI) -> None:
    fields = {"tool_choice": "required", "parallel_tool_calls": True, "temperature": 1, "seed": 4}
    calls = ask(tools_client, **fields).choices[0].message.tool_calls
    assert len({call.id for call in calls}) == len(calls)
    for call in calls:
        check_call(call.function.name, call.function.arguments)
    pieces = [
        piece for chunk in ask(tools_client, stream=True, **fields) for piece in chunk.choices[0].delta.tool_calls or []
    ]
    streamed = ["".join(p.function.arguments for p in pieces if p.index == index) for index in range(len(calls))]
    assert streamed == [call.function.arguments for call in calls]


@pytest.mark.parametrize("choice", ["none", "auto"])
def test_text_where_text_may_be(tools_client: openai.OpenAI, choice: str) -> None:
    answer = ask(tools_client, tool_choice=choice, max_tokens=8).choices[0]
    if choice == "none":
        assert answer.message.tool_calls is None
        assert answer.message.content
    for call in answer.message.tool_calls or []:
        check_call(call.function.name, call.function.arguments)


def test_a_conversation_goes_on_with_the_result(tools_client: openai.OpenAI) -> None:
    call = ask(tools_client, tool_choice=NAMED).choices[0].message
    result = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "It is noon."}
    messages = [*QUESTION, call.model_dump(exclude_none=True), result]
    answer = ask(tools_client, messages=messages, tool_choice="none", max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage.prompt_tokens > ask(tools_client, tool_choice="none", max_tokens=1).usage.prompt_tokens


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "sometimes"}, "tool_choice"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}},
            "tool_choice.type",
        ),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [TOOLS[1], TOOLS[1]]}, "tools[1].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a", "parameters": 5}}]}, "tools[0].function.parameters"),
        ({"tools": [{"type": "function", "function": {"name": "a", "more": 5}}]}, "tools[0].function.more"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ],
    ids=str,
)
def test_refused_by_name(tools_client: openai.OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(tools_client, **fields)
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)
    names_the_field(caught.value, caught.value.param)


def test_the_official_helper_parses_calls(tools_client: openai.OpenAI) -> None:
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER, "strict": True}}
    parse: Any = tools_client.chat.completions.parse
    asked = {"model": MODEL, "messages": QUESTION, "tools": [tool], "tool_choice": "required", "temperature": 0}
    answer = parse(**asked, max_tokens=300, parallel_tool_calls=False)
    jsonschema.validate(answer.choices[0].message.tool_calls[0].function.parsed_arguments, WEATHER)
