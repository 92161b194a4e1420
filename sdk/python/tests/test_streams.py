"""Streams: whole, cut, failed, closed early; both clients against a real HTTP server."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

import realm
from realm import AsyncRealm, Realm, Usage
from stub import PATIENCE, Reply, Stub, events, json_reply
from test_parse import COUNTS

if TYPE_CHECKING:
    from caller import Caller


def piece(text: str, reason: str | None = None, index: int = 0) -> dict[str, object]:
    return {"id": "a", "choices": [{"index": index, "text": text, "finish_reason": reason}], "usage": None}


WHOLE = [piece("Hel"), piece("lo"), piece("", "stop"), {"id": "a", "choices": [], "usage": COUNTS}]
FAILURE = {"error": {"message": "stopping", "type": "server_error", "param": None, "code": "stopping"}}


def opened(client: Any) -> Any:
    return client.completions.stream(model="m", prompt="Hi", max_tokens=3)


def test_a_whole_stream(caller: Caller) -> None:
    with Stub(events(*WHOLE)) as stub:
        tokens, stream = caller.tokens(stub.url, opened)
    assert [token.text for token in tokens] == ["Hel", "lo", ""]
    assert (stream.text, stream.finish_reason, stream.request_id) == ("Hello", "stop", "req-1")
    assert stream.usage == Usage(3, 2, 5, 1)
    body = {"model": "m", "prompt": "Hi", "max_tokens": 3, "stream": True, "stream_options": {"include_usage": True}}
    assert stub.asked[0].body == body


def test_a_chat_stream(caller: Caller) -> None:
    def chunk(reason: str | None = None, **delta: object) -> dict[str, object]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    reply = events(chunk(role="assistant", content=""), chunk(content="Hi"), chunk("stop"))
    with Stub(reply) as stub:
        tokens, stream = caller.tokens(stub.url, lambda client: client.chat.stream(model="m", messages=[]))
    assert ([token.text for token in tokens], stream.text) == (["Hi", ""], "Hi")


def test_a_stream_leaves_its_connection_to_the_next(caller: Caller) -> None:
    def twice(client: Realm) -> None:
        list(opened(client))
        list(opened(client))

    async def twice_async(client: AsyncRealm) -> None:
        [token async for token in opened(client)]
        [token async for token in opened(client)]

    with Stub(events(*WHOLE)) as stub:
        caller.call(stub.url, twice if caller.kind == "sync" else twice_async)
    assert [asked.connection for asked in stub.asked] == [1, 1]


CUTS = {
    "the connection breaks": events(*WHOLE, done=False, cut=True),
    "the body ends without the end of the stream": events(*WHOLE, done=False),
    "in the middle of an event": Reply(
        headers={"content-type": "text/event-stream"}, pieces=[b'data: {"id": "a", "choi'], cut=True
    ),
    "an answer without anything": events(done=False),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_cut_stream_is_never_taken_for_whole(caller: Caller, name: str) -> None:
    with Stub(CUTS[name]) as stub, pytest.raises(realm.StreamCutError):
        caller.tokens(stub.url, opened, max_retries=0)


def test_no_retry_after_the_first_token(caller: Caller) -> None:
    with Stub(events(piece("Hel"), done=False, cut=True), events(*WHOLE)) as stub:
        with pytest.raises(realm.StreamCutError):
            caller.tokens(stub.url, opened)
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    "first",
    [
        Reply(drop=True),
        json_reply(FAILURE, 503, retry_after="0"),
        events(done=False, cut=True),
        events(FAILURE, done=False),
    ],
    ids=["dropped", "unavailable", "cut", "failed"],
)
def test_a_retry_before_the_first_token(caller: Caller, first: Reply) -> None:
    with Stub(first, events(*WHOLE)) as stub:
        tokens, _ = caller.tokens(stub.url, opened)
    assert "".join(token.text for token in tokens) == "Hello"
    assert len(stub.asked) == 2


def test_a_failure_in_the_middle_says_what_the_server_says(caller: Caller) -> None:
    with Stub(events(piece("Hel"), FAILURE, done=False)) as stub, pytest.raises(realm.StreamError) as caught:
        caller.tokens(stub.url, opened)
    assert (caught.value.code, caught.value.type, caught.value.request_id) == ("stopping", "server_error", "req-1")


def test_a_refusal_before_the_stream(caller: Caller) -> None:
    refusal = json_reply({"error": {"message": "no", "code": "invalid_value", "param": "n"}}, 400)
    with Stub(refusal) as stub, pytest.raises(realm.BadRequestError) as caught:
        caller.tokens(stub.url, opened)
    assert caught.value.param == "n"


def test_something_else_than_events_is_no_stream(caller: Caller) -> None:
    with Stub(json_reply({"choices": []})) as stub, pytest.raises(realm.ProtocolError, match="application/json came"):
        caller.tokens(stub.url, opened)


def test_a_stream_that_falls_silent_times_out(caller: Caller) -> None:
    with Stub(events(piece("Hel"), done=False, hold=True)) as stub, pytest.raises(realm.APITimeoutError):
        caller.tokens(stub.url, opened, timeout=0.2)
    assert len(stub.asked) == 1


def test_what_comes_after_the_end_does_not_count(caller: Caller) -> None:
    late = events(*WHOLE)
    assert late.pieces is not None
    late.pieces[-1] += b"data: not JSON\n\n"
    with Stub(late) as stub:
        assert caller.tokens(stub.url, opened)[1].text == "Hello"


def test_nothing_is_sent_before_the_first_token_is_asked_for() -> None:
    with Stub(events(*WHOLE)) as stub, Realm(stub.url) as client:
        with opened(client) as stream:
            assert stream.request_id is None
        assert stub.asked == []
        assert list(stream) == []


@pytest.mark.parametrize("way", ["close", "with", "drop", "client"])
def test_closing_cancels_the_request(way: str) -> None:
    with Stub(events(piece("Hel"), done=False, hold=True)) as stub, Realm(stub.url) as client:
        stream = opened(client)
        assert next(stream).text == "Hel"
        assert not stub.client_left.is_set()
        if way == "close":
            stream.close()
            assert list(stream) == []
        elif way == "with":
            with stream:
                pass
        elif way == "drop":
            del stream
            gc.collect()
        else:
            client.close()
        assert stub.client_left.wait(PATIENCE)


@pytest.mark.parametrize("way", ["close", "with", "cancel", "drop"])
def test_closing_cancels_the_async_request(way: str) -> None:
    async def use(stub: Stub) -> None:
        async with AsyncRealm(stub.url) as client:
            stream = opened(client)
            assert (await anext(stream)).text == "Hel"
            assert not stub.client_left.is_set()
            if way == "close":
                await stream.close()
                assert [token async for token in stream] == []
            elif way == "with":
                async with stream:
                    pass
            elif way == "cancel":
                waiting = asyncio.ensure_future(anext(stream))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            else:
                del stream
                gc.collect()
            assert await asyncio.to_thread(stub.client_left.wait, PATIENCE)

    with Stub(events(piece("Hel"), done=False, hold=True)) as stub:
        asyncio.run(use(stub))


def test_texts_of_several_answers_do_not_mix(caller: Caller) -> None:
    reply = events(piece("a"), piece("x", index=1), piece("b", "stop"), piece("y", "length", index=1))
    with Stub(reply) as stub:
        tokens, stream = caller.tokens(stub.url, opened)
    assert (stream.text, stream.finish_reason) == ("ab", "stop")
    assert [token.index for token in tokens] == [0, 1, 0, 1]
