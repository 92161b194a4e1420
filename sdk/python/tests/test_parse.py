"""From documents to answers, and the error that names what is wrong with a document."""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from realm import ProtocolError, Token, TokenLogprob, ToolCall, ToolCallPiece, Usage
from realm import _parse as parse
from realm._document import Document

if TYPE_CHECKING:
    from collections.abc import Callable

COUNTS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
HEAD = {"id": "a", "object": "x", "created": 1, "model": "m", "usage": COUNTS, "new": {"field": 1}}
TEXT = {**HEAD, "choices": [{"index": 0, "text": "hi", "finish_reason": "stop", "logprobs": None}]}
MESSAGE = {"role": "assistant", "content": "hi", "refusal": None}
CHAT = {**HEAD, "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop", "logprobs": None}]}


def document(value: object) -> Document:
    return Document.read(json.dumps(value), "req-1")


def changed(value: Any, path: list[str | int], new: object) -> Any:
    """A copy with another value at a path; `...` removes it."""
    copy = json.loads(json.dumps(value))
    at = copy
    for step in path[:-1]:
        at = at[step]
    if new is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


def test_a_completion() -> None:
    answer = parse.completion(document(TEXT))
    assert (answer.text, answer.finish_reason, answer.request_id) == ("hi", "stop", "req-1")
    assert answer.usage == Usage(3, 2, 5, 1)
    assert parse.usage(document({"prompt_tokens": 3, "total_tokens": 3})) == Usage(3, 0, 3)


def test_a_chat_with_calls() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    answer = parse.chat(document(changed(CHAT, ["choices", 0, "message"], {"content": None, "tool_calls": [call]})))
    assert (answer.text, answer.tool_calls, answer.finish_reason) == ("", (ToolCall("c", "f", "{}"),), "stop")


def test_logprobs_of_both_endpoints() -> None:
    lists = {
        "tokens": ["h", "i"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {"i": -0.5, "o": -2}],
        "text_offset": [0, 1],
    }
    text = parse.completion(document(changed(TEXT, ["choices", 0, "logprobs"], lists))).choices[0]
    assert text.logprobs == (TokenLogprob("h", None, {}), TokenLogprob("i", -0.5, {"i": -0.5, "o": -2.0}))
    top = [{"token": "i", "logprob": -0.5, "bytes": [105]}]
    content = {"content": [{"token": "i", "logprob": -0.5, "bytes": [105], "top_logprobs": top}], "refusal": None}
    chat = parse.chat(document(changed(CHAT, ["choices", 0, "logprobs"], content))).choices[0]
    assert chat.logprobs == (TokenLogprob("i", -0.5, {"i": -0.5}),)


def test_events() -> None:
    opening = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    assert parse.chat_tokens(document(opening)) == []
    first = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 0, "function": {"arguments": "{}"}}
    pieces = {"choices": [{"index": 1, "delta": {"tool_calls": [first, second]}, "finish_reason": None}]}
    calls = (ToolCallPiece(0, "c", "f", ""), ToolCallPiece(0, None, None, "{}"))
    assert parse.chat_tokens(document(pieces)) == [Token("", 1, tool_calls=calls)]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    assert parse.chat_tokens(document(end)) == [Token("", 0, "length")]
    text = {"choices": [{"index": 0, "text": "a"}, {"index": 1, "text": ""}]}
    assert parse.completion_tokens(document(text)) == [Token("a")]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_in_both_encodings_in_the_order_of_the_texts(encoding: str) -> None:
    def written(vector: list[float]) -> object:
        return vector if encoding == "float" else base64.b64encode(struct.pack("<2f", *vector)).decode()

    data = [{"index": 1, "embedding": written([0.5, 2])}, {"index": 0, "embedding": written([1, -1])}]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    answer = parse.embeddings(document({"model": "m", "data": data, "usage": usage}))
    assert answer.vectors == ((1.0, -1.0), (0.5, 2.0))


WRONG: list[tuple[Callable[[Document], object], Any, str]] = [
    (parse.completion, [], "the answer is a list, expected an object"),
    (parse.completion, changed(TEXT, ["id"], ...), "`id` of the answer is missing, expected a string"),
    (parse.completion, changed(TEXT, ["created"], 1.5), "`created` of the answer is a float"),
    (parse.completion, changed(TEXT, ["created"], True), "`created` of the answer is a bool"),
    (parse.completion, changed(TEXT, ["choices"], []), "`choices` of the answer is empty"),
    (parse.completion, changed(TEXT, ["choices"], {}), "`choices` of the answer is a dict, expected a list"),
    (parse.completion, changed(TEXT, ["choices", 0, "text"], 5), "`choices[0].text` of the answer is a int"),
    (parse.completion, changed(TEXT, ["usage", "total_tokens"], "5"), "`usage.total_tokens` of the answer is a str"),
    (parse.completion, changed(TEXT, ["usage"], ...), "`usage` of the answer is missing, expected an object"),
    (
        parse.completion,
        changed(TEXT, ["choices", 0, "logprobs"], {"tokens": ["a"], "token_logprobs": []}),
        "differ in length",
    ),
    (
        parse.completion,
        changed(TEXT, ["choices", 0, "logprobs"], {"tokens": ["a"], "token_logprobs": ["x"]}),
        "`choices[0].logprobs.token_logprobs` of the answer is a str, expected a number",
    ),
    (parse.chat, changed(CHAT, ["choices", 0, "message"], ...), "`choices[0].message` of the answer is missing"),
    (parse.tokens, {"tokens": [1, "2"], "count": 2, "max_model_len": 9}, "`tokens` of the answer is a str"),
    (parse.models, {"data": [{"id": "a"}, {}]}, "`data[1].id` of the answer is missing"),
    (
        parse.embeddings,
        {"model": "m", "data": [{"index": 0, "embedding": "abc"}], "usage": COUNTS},
        "`data[0].embedding` is not floats in base64",
    ),
]


@pytest.mark.parametrize(("read", "value", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_what_is_wrong_is_named(read: Callable[[Document], object], value: object, message: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(document(value))
    assert message in str(caught.value)
    assert caught.value.request_id == "req-1"


@pytest.mark.parametrize("body", ["", "<html>", '{"a":', "[" * 100_000])
def test_what_is_not_json_is_no_answer(body: str) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        Document.read(body, None)
