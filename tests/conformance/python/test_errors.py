"""What is wrong with a request, said in the API's form with the right status; and what every answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from asking import CHAT, ENDPOINTS, MODEL, TEXT, Endpoint, key_of, official, plain
from judging import error_of

if TYPE_CHECKING:
    import httpx

BOTH = pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
JSON = {"content-type": "application/json"}


@BOTH
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"not json", b'{"model": "smollm2",}', b"[]", b'"text"', b"null", b"\xff\xfe", b'{"model": "\xff"}'],
)
def test_malformed_json(http: httpx.Client, endpoint: Endpoint, body: bytes) -> None:
    error_of(http.post(endpoint.path, content=body, headers=JSON), 400, "invalid_json")


@BOTH
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type(http: httpx.Client, endpoint: Endpoint, kind: str) -> None:
    error_of(http.post(endpoint.path, content=b"{}", headers={"content-type": kind}), 415, "unsupported_media_type")


@BOTH
def test_an_unknown_model(client: openai.OpenAI, endpoint: Endpoint) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        endpoint.create(client, {"model": "gpt-9"})
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert "gpt-9" in caught.value.message
    assert MODEL in caught.value.message


@BOTH
def test_a_body_that_is_too_large(http: httpx.Client, endpoint: Endpoint) -> None:
    body = b'{"user": "' + b"x" * (64 << 20) + b'"}'
    try:
        answer = http.post(endpoint.path, content=body, headers=JSON)
    except Exception as error:
        pytest.fail(f"the answer must reach the client: {error!r}")
    error_of(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", CHAT.path, "POST"),
        ("PUT", CHAT.path, "POST"),
        ("DELETE", TEXT.path, "POST"),
        ("GET", TEXT.path, "POST"),
        ("POST", "/v1/models", "GET,HEAD"),
        ("DELETE", f"/v1/models/{MODEL}", "GET,HEAD"),
    ],
)
def test_the_wrong_method(http: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = http.request(method, path)
    error_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/chat", "/v1/nothing", "/v2/models", "/v1/chat/completions/x"])
def test_an_unknown_path(http: httpx.Client, path: str) -> None:
    error_of(http.post(path, json={}), 404, "unknown_route")


@pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{MODEL}", CHAT.path, TEXT.path])
@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [
        (None, 401, "missing_api_key"),
        ("Bearer wrong", 401, "invalid_api_key"),
        ("Bearer", 401, "malformed_authorization"),
        ("Basic YTpi", 401, "malformed_authorization"),
        (f"Bearer {key_of('expired')}", 401, "api_key_expired"),
        (f"Bearer {key_of('suspended')}", 403, "tenant_suspended"),
    ],
)
def test_a_key_that_does_not_fit(url: str, path: str, authorization: str | None, status: int, code: str) -> None:
    headers = {"authorization": authorization} if authorization is not None else {}
    with plain(url, None) as http:
        method = "GET" if "models" in path else "POST"
        answer = http.request(method, path, headers=headers, json=None if method == "GET" else {})
    error_of(answer, status, code)
    assert (answer.headers.get("www-authenticate") == "Bearer") == (status == 401)


@pytest.mark.parametrize(
    ("tenant", "kind"), [("wrong", openai.AuthenticationError), ("suspended", openai.PermissionDeniedError)]
)
def test_the_official_client_knows_these_errors(url: str, tenant: str, kind: type[openai.APIStatusError]) -> None:
    with official(url, tenant) as client, pytest.raises(kind) as caught:
        client.models.list()
    assert caught.value.request_id


def asked(http: httpx.Client, what: str) -> Any:
    return {
        "models": lambda: http.get("/v1/models"),
        "model": lambda: http.get(f"/v1/models/{MODEL}"),
        "chat": lambda: http.post(CHAT.path, json=dict(CHAT.least)),
        "completion": lambda: http.post(TEXT.path, json=dict(TEXT.least)),
        "stream": lambda: http.post(TEXT.path, json={**TEXT.least, "stream": True}),
        "error": lambda: http.post(TEXT.path, json={}),
        "nothing": lambda: http.get("/v1/nothing"),
        "method": lambda: http.get(TEXT.path),
        "health": lambda: http.get("/health"),
    }[what]()


ANSWERS = ["models", "model", "chat", "completion", "stream", "error", "nothing", "method", "health"]


@pytest.mark.parametrize("what", ANSWERS)
def test_every_answer_has_its_id(http: httpx.Client, what: str) -> None:
    ids = {asked(http, what).headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert "" not in ids


def test_a_client_may_name_its_request(http: httpx.Client) -> None:
    answer = http.get("/v1/models", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    answer = http.get("/v1/models", headers={"x-request-id": "two words"})
    assert answer.headers["x-request-id"] != "two words"


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert names == [MODEL, "team/small"]
    for name in names:
        model = client.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", "realm")
        assert model.created > 0
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert caught.value.code == "model_not_found"
