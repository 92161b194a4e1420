"""The same server behind `langchain-openai`, unmodified."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, SecretStr

from asking import CAPITAL, MODEL, PATIENCE, key_of

QUESTION = "Name the capital of France."


class City(BaseModel):
    """A city."""

    name: str
    inhabitants: int


def common(url: str, **more: Any) -> dict[str, Any]:
    return {
        "base_url": f"{url}/v1",
        "api_key": SecretStr(key_of("free")),
        "model": MODEL,
        "temperature": 0,
        "max_retries": 0,
        "timeout": PATIENCE,
        **more,
    }


@pytest.fixture
def chat(url: str) -> ChatOpenAI:
    return ChatOpenAI(**common(url, max_completion_tokens=16))


@pytest.fixture
def text(url: str) -> OpenAI:
    return OpenAI(**common(url, max_tokens=8))


def test_a_chat(chat: ChatOpenAI) -> None:
    answer = chat.invoke([SystemMessage("You answer shortly."), HumanMessage(QUESTION)])
    assert "Paris" in answer.text
    assert answer.response_metadata["finish_reason"] in {"stop", "length"}
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


def test_a_chat_streamed(chat: ChatOpenAI) -> None:
    pieces = list(chat.stream(QUESTION))
    assert "".join(piece.text for piece in pieces) == chat.invoke(QUESTION).text
    assert len(pieces) > 3


def test_a_chat_streamed_with_counts(url: str) -> None:
    chat = ChatOpenAI(**common(url, max_completion_tokens=4, stream_usage=True))
    counts = [piece.usage_metadata for piece in chat.stream(QUESTION) if piece.usage_metadata]
    assert [count["output_tokens"] for count in counts] == [4]


def test_chats_at_a_time(chat: ChatOpenAI) -> None:
    answers = chat.batch([QUESTION] * 4)
    assert len({answer.text for answer in answers}) == 1


def test_a_chat_async(chat: ChatOpenAI) -> None:
    async def ask() -> AIMessage:
        return await chat.ainvoke(QUESTION)

    assert "Paris" in asyncio.run(ask()).text


def test_a_conversation(chat: ChatOpenAI) -> None:
    first = chat.invoke(QUESTION)
    answer = chat.invoke([HumanMessage(QUESTION), first, HumanMessage("And of Italy?")])
    assert answer.text


def test_stop_strings(chat: ChatOpenAI) -> None:
    assert "Paris" not in chat.invoke(QUESTION, stop=["Paris"]).text


def test_probabilities(chat: ChatOpenAI) -> None:
    answer = chat.bind(logprobs=True, top_logprobs=2).invoke(QUESTION)
    entries = answer.response_metadata["logprobs"]["content"]
    assert "".join(entry["token"] for entry in entries) == answer.text
    assert all(len(entry["top_logprobs"]) == 2 for entry in entries)


def test_an_answer_of_a_form(url: str) -> None:
    chat = ChatOpenAI(**common(url, max_completion_tokens=200))
    city = chat.with_structured_output(City, method="json_schema").invoke("Describe Paris as JSON.")
    assert isinstance(city, City)
    assert city.name


def test_tools_are_refused_by_a_model_without_them(chat: ChatOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="tools"):
        chat.bind_tools([City]).invoke(QUESTION)


def test_a_completion(text: OpenAI) -> None:
    assert "Paris" in text.invoke(CAPITAL)


def test_a_completion_streamed(text: OpenAI) -> None:
    assert "".join(text.stream(CAPITAL)) == text.invoke(CAPITAL)


def test_completions_of_several_prompts_in_one_request(text: OpenAI) -> None:
    found = text.generate([CAPITAL, "One, two, three,"])
    assert [len(generations) for generations in found.generations] == [1, 1]
    assert "Paris" in found.generations[0][0].text
    assert "four" in found.generations[1][0].text
    assert found.llm_output is not None
    assert found.llm_output["token_usage"]["completion_tokens"] > 8


def test_errors_come_through(url: str) -> None:
    with pytest.raises(openai.NotFoundError):
        ChatOpenAI(**common(url, model="other")).invoke(QUESTION)
    with pytest.raises(openai.AuthenticationError):
        ChatOpenAI(**common(url, api_key=SecretStr("wrong"))).invoke(QUESTION)
