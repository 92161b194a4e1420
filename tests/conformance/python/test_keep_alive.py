"""Sequential requests on one kept connection: the server never closes it under a client."""

from __future__ import annotations

import http.client
import os
import select
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from asking import CHAT, PATIENCE, TEXT, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import openai

STREAMS = int(os.environ.get("REALM_CONFORMANCE_STREAMS", "200"))
"""How many streams; 10000 for the long run."""


def counting(url: str) -> tuple[httpx.Client, list[str]]:
    """A client, and the connections that it makes. The official one cannot be used: it closes after each stream."""
    made: list[str] = []

    def trace(name: str, _info: Any) -> None:
        if name == "connection.connect_tcp.complete":
            made.append(name)

    def watch(request: httpx.Request) -> None:
        request.extensions["trace"] = trace

    headers = {"authorization": f"Bearer {key_of('free')}"}
    client = httpx.Client(base_url=url, headers=headers, timeout=PATIENCE, event_hooks={"request": [watch]})
    return client, made


def stream(http: httpx.Client, **fields: Any) -> None:
    with http.stream("POST", TEXT.path, json={**TEXT.least, "stream": True, **fields}) as answer:
        assert answer.status_code == 200
        assert answer.headers.get("connection") != "close"
        assert [line for line in answer.iter_lines() if line][-1] == "data: [DONE]"


def test_many_streams_on_one_connection(url: str) -> None:
    http, made = counting(url)
    with http:
        for number in range(STREAMS):
            stream(http, max_tokens=1 + number % 2)
    assert len(made) == 1


def test_many_streams_of_the_official_client(client: openai.OpenAI) -> None:
    for _ in range(STREAMS // 4):
        assert TEXT.stream(client, {"max_tokens": 1})[-1].choices[0].finish_reason == "length"


def test_every_kind_of_answer_leaves_the_connection_open(url: str) -> None:
    http, made = counting(url)
    kinds: list[Callable[[], Any]] = [
        lambda: http.get("/v1/models"),
        lambda: http.get("/v1/nothing"),
        lambda: http.get(TEXT.path),
        lambda: http.post(CHAT.path, json={**CHAT.least, "max_tokens": 1}),
        lambda: http.post(TEXT.path, json={**TEXT.least, "n": 0}),
        lambda: http.post(TEXT.path, json={**TEXT.least, "model": "other"}),
        lambda: http.post(TEXT.path, content=b"{", headers={"content-type": "application/json"}),
        lambda: http.get("/v1/models", headers={"authorization": "Bearer wrong"}),
        lambda: stream(http, max_tokens=2),
        lambda: stream(http, max_tokens=2, n=2),
    ]
    with http:
        for _ in range(5):
            for ask in kinds:
                ask()
    assert len(made) == 1


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("POST /v1/completions", {"authorization": "Bearer wrong"}, 401),
        ("POST /v1/nothing", {}, 404),
        ("PUT /v1/completions", {}, 405),
        ("POST /v1/completions", {"content-type": "text/plain"}, 415),
        ("POST /v1/completions", {}, 400),
    ],
)
def test_a_body_that_comes_after_its_head(url: str, line: str, fields: dict[str, str], status: int) -> None:
    """Clients send head and body apart; a refusal that needs no body must not cut the connection under them."""
    body = b'{"model": "smollm2"}'
    known = {"host": "h", "content-type": "application/json", "authorization": f"Bearer {key_of('free')}"}
    headers = {**known, **fields, "content-length": str(len(body))}
    head = f"{line} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
    at = httpx.URL(url)
    with socket.create_connection((at.host, at.port or 80), timeout=PATIENCE) as connection:
        for _ in range(2):
            connection.sendall(head.encode())
            # Time for the server to judge the head alone.
            early = bool(select.select([connection], [], [], 0.05)[0])
            connection.sendall(body)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answer.read()
            assert answer.status == status
            if answer.getheader("connection") == "close":
                return
            assert not early, "an answer before the body must close the connection"
