"""What goes out, what comes back, and what goes wrong; both clients against a real HTTP server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import realm
from realm import AsyncRealm, Realm
from stub import Reply, Stub, json_reply
from test_parse import CHAT, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from caller import Caller

MODELS = {
    "object": "list",
    "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "realm"}, {"id": "alias"}],
}
MESSAGES = [{"role": "user", "content": "Hi"}]
VECTOR: dict[str, object] = {
    "model": "m",
    "data": [{"index": 0, "embedding": [1.0]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
IDS: dict[str, object] = {"tokens": [1, 2], "count": 2, "max_model_len": 9}

OUTGOING: list[tuple[Callable[[Any], Any], Mapping[str, object], str, str, object]] = [
    (
        lambda client: client.completions.create(model="m", prompt="Hi", max_tokens=3, stop=None, logit_bias={5: -1}),
        TEXT,
        "POST",
        "/v1/completions",
        {"model": "m", "prompt": "Hi", "max_tokens": 3, "logit_bias": {"5": -1}},
    ),
    (
        lambda client: client.chat.create(model="m", messages=MESSAGES, extra_body={"guided_regex": "a+"}, timeout=9),
        CHAT,
        "POST",
        "/v1/chat/completions",
        {"model": "m", "messages": MESSAGES, "guided_regex": "a+"},
    ),
    (
        lambda client: client.embeddings.create(model="m", input=["Hi"]),
        VECTOR,
        "POST",
        "/v1/embeddings",
        {"model": "m", "input": ["Hi"]},
    ),
    (
        lambda client: client.tokenize(model="m", prompt="Grüße"),
        IDS,
        "POST",
        "/tokenize",
        {"model": "m", "prompt": "Grüße"},
    ),
    (
        lambda client: client.detokenize(model="m", tokens=[1]),
        {"prompt": "a"},
        "POST",
        "/detokenize",
        {"model": "m", "tokens": [1]},
    ),
    (lambda client: client.models.list(), MODELS, "GET", "/v1/models", None),
    (lambda client: client.models.retrieve("a b/ç"), {"id": "a b/ç"}, "GET", "/v1/models/a%20b/%C3%A7", None),
]


@pytest.mark.parametrize(("use", "answer", "method", "path", "body"), OUTGOING, ids=[row[3] for row in OUTGOING])
def test_requests_on_the_wire(
    caller: Caller, use: Callable[[Any], Any], answer: Mapping[str, object], method: str, path: str, body: object
) -> None:
    with Stub(json_reply(answer)) as stub:
        caller.call(stub.url + "/v1", use, api_key="rlm_k", headers={"x-more": "1"})
    (asked,) = stub.asked
    assert (asked.method, asked.path, asked.body) == (method, path, body)
    assert asked.headers["authorization"] == "Bearer rlm_k"
    assert asked.headers["x-more"] == "1"
    assert asked.headers["user-agent"] == f"realm-python/{realm.__version__}"
    assert asked.headers.get("content-type") == ("application/json" if body else None)


def test_answers_are_values(caller: Caller) -> None:
    with Stub(json_reply(TEXT), json_reply(MODELS), json_reply(IDS)) as stub:
        assert caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi")).text == "hi"
        assert [entry.id for entry in caller.call(stub.url, lambda client: client.models.list())] == ["m", "alias"]
        assert caller.call(stub.url, lambda client: client.tokenize(model="m", prompt="Hi")).tokens == (1, 2)


def test_without_a_key_and_with_a_request_id(caller: Caller) -> None:
    with Stub(json_reply(TEXT)) as stub:
        caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi", request_id="mine-1"))
    assert "authorization" not in stub.asked[0].headers
    assert stub.asked[0].headers["x-request-id"] == "mine-1"
    assert "request_id" not in stub.asked[0].body


def test_the_model_comes_from_the_client_or_once_from_the_server() -> None:
    with Stub(json_reply(TEXT)) as stub, Realm(stub.url, model="mine") as client:
        client.completions.create(prompt="Hi")
        assert stub.asked[0].body["model"] == "mine"
    with Stub(json_reply(MODELS), json_reply(TEXT)) as stub, Realm(stub.url) as client:
        client.completions.create(prompt="Hi")
        client.completions.create(prompt="Hi")
        assert [asked.path for asked in stub.asked] == ["/v1/models", "/v1/completions", "/v1/completions"]
        assert stub.asked[2].body["model"] == "m"
    with Stub(json_reply({"data": []})) as stub, Realm(stub.url) as client:
        with pytest.raises(realm.ProtocolError, match="no model"):
            client.completions.create(prompt="Hi")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, realm.BadRequestError),
        (401, realm.AuthenticationError),
        (403, realm.PermissionDeniedError),
        (404, realm.NotFoundError),
        (405, realm.BadRequestError),
        (413, realm.BadRequestError),
        (422, realm.UnprocessableEntityError),
        (429, realm.RateLimitError),
        (500, realm.ServerError),
        (502, realm.ServerError),
        (503, realm.OverloadedError),
        (302, realm.APIError),
    ],
)
def test_each_status_has_its_error(caller: Caller, status: int, kind: type[realm.RealmError]) -> None:
    error = {"message": "`n` is wrong", "type": "some_error", "param": "n", "code": "invalid_value"}
    with (
        Stub(json_reply({"error": error}, status, retry_after="7")) as stub,
        pytest.raises(realm.APIError) as caught,
    ):
        caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi"), max_retries=0)
    found = caught.value
    assert type(found) is kind
    facts = (found.status, found.code, found.param, found.type, found.request_id, found.retry_after)
    assert facts == (status, "invalid_value", "n", "some_error", "req-1", 7.0)
    assert str(found) == f"`n` is wrong (status {status}, code invalid_value, param n, request req-1)"


def test_an_overloaded_server_is_not_a_limit_of_the_tenant(caller: Caller) -> None:
    reply = json_reply({"error": {"message": "busy", "code": "overloaded"}}, 429)
    with Stub(reply) as stub, pytest.raises(realm.OverloadedError):
        caller.call(stub.url, lambda client: client.models.list(), max_retries=0)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"<html>bad gateway</html>", "502: <html>bad gateway</html>"),
        (b"", "answered 502"),
        (b'{"error": "x"}', "502: "),
        (b'{"error": {"message": 5}}', "502: "),
        (b"x" * 5000, "502: " + "x" * 200 + " "),
        (b"\xff\xfe", "502: "),
    ],
)
def test_something_else_than_realm_answers_an_error(caller: Caller, body: bytes, part: str) -> None:
    with Stub(Reply(502, body)) as stub, pytest.raises(realm.ServerError) as caught:
        caller.call(stub.url, lambda client: client.models.list(), max_retries=0)
    assert part in str(caught.value)


def test_a_request_is_sent_again(caller: Caller) -> None:
    busy = json_reply({"error": {"message": "busy"}}, 429, retry_after="0")
    with Stub(busy, json_reply(TEXT)) as stub:
        assert caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi")).text == "hi"
        assert len(stub.asked) == 2
    with Stub(busy) as stub, pytest.raises(realm.RateLimitError):
        caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi", max_retries=1))
    assert len(stub.asked) == 2
    with Stub(Reply(drop=True), json_reply(TEXT)) as stub:
        assert caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi")).text == "hi"


def test_a_wrong_request_is_not_sent_again(caller: Caller) -> None:
    with Stub(json_reply({"error": {"message": "no"}}, 400)) as stub, pytest.raises(realm.BadRequestError):
        caller.call(stub.url, lambda client: client.completions.create(model="m", prompt="Hi"))
    assert len(stub.asked) == 1


def test_nobody_listens(caller: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(realm.APIConnectionError) as caught:
        caller.call(f"http://127.0.0.1:{port}", lambda client: client.models.list(), max_retries=0)
    assert isinstance(caught.value, ConnectionError)
    assert isinstance(caught.value.__cause__, httpx.ConnectError)


def test_a_silent_server_times_out_and_is_not_asked_again(caller: Caller) -> None:
    with Stub(Reply(pieces=[b"{"], hold=True)) as stub, pytest.raises(TimeoutError) as caught:
        caller.call(stub.url, lambda client: client.models.list(timeout=0.1))
    assert isinstance(caught.value, realm.APITimeoutError)
    assert len(stub.asked) == 1


def test_connections_are_kept(caller: Caller) -> None:
    def twice(client: Realm) -> None:
        client.models.list()
        client.models.list()

    async def twice_async(client: AsyncRealm) -> None:
        await client.models.list()
        await client.models.list()

    with Stub(json_reply(MODELS)) as stub:
        caller.call(stub.url, twice if caller.kind == "sync" else twice_async)
    assert [asked.connection for asked in stub.asked] == [1, 1]


def test_an_httpx_client_of_the_caller_is_used_and_left_open() -> None:
    with Stub(json_reply(MODELS)) as stub, httpx.Client(headers={"x-mine": "1"}) as http:
        with Realm(stub.url, http=http) as client:
            client.models.list()
        assert stub.asked[0].headers["x-mine"] == "1"
        assert not http.is_closed
