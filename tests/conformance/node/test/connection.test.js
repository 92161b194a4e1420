/** Requests by their id, connections that are kept, and readers who leave. */

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';

import { APIUserAbortError, BadRequestError } from 'openai';

import { CHAT, collect, ENDPOINTS, MODEL, official, TEXT } from '../support/asking.js';
import { failsWith } from '../support/judging.js';
import { sample, until } from '../support/metrics.js';

const client = official();
const ID = /^req-[0-9a-f]{32}$/;
/** An answer that goes on: its end is made impossible. */
const LONG = { max_tokens: 900, logit_bias: { 2: -100 } };
const STREAMS = 300;
/** Where Node tells of each connection that its `fetch` makes. */
const CONNECTED = 'undici:client:connected';
/** A client that asks again before it has seen the end of an answer takes another connection. */
const MOST_CONNECTIONS = 3;

async function disconnects() {
  return await sample('realm_client_disconnects_total', { tenant: 'free' });
}

async function idle() {
  return (await sample('realm_requests_running', { model: MODEL })) === 0;
}

for (const endpoint of ENDPOINTS) {
  test(`the client sees the id of a request: ${endpoint.name}`, async () => {
    const short = { max_tokens: 1 };
    const answer = await endpoint.create(client, short);
    assert.match(answer._request_id, ID);
    const { data, response, request_id: id } = await endpoint.create(client, short).withResponse();
    assert.equal(data._request_id, id);
    assert.equal(response.headers.get('x-request-id'), id);
    assert.notEqual(id, answer._request_id);
    const streamed = await endpoint.create(client, { ...short, stream: true }).withResponse();
    assert.match(streamed.request_id, ID);
    assert.ok((await collect(streamed.data)).length > 0);
  });

  test(`a client names its request: ${endpoint.name}`, async () => {
    const named = { headers: { 'x-request-id': 'mine-1' } };
    assert.equal((await endpoint.create(client, { max_tokens: 1 }, named))._request_id, 'mine-1');
    await failsWith(endpoint.create(client, { n: 0 }, named), BadRequestError, { requestID: 'mine-1' });
  });

  test(`an abort in the middle ends the request on the server: ${endpoint.name}`, async () => {
    const before = await disconnects();
    const stop = new AbortController();
    let pieces = 0;
    const stream = await endpoint.create(client, { ...LONG, stream: true }, { signal: stop.signal });
    for await (const chunk of stream) {
      assert.ok(chunk.choices.every((choice) => choice.finish_reason === null));
      pieces += 1;
      if (pieces === 3) stop.abort();
    }
    await until(async () => (await disconnects()) > before && (await idle()));
    assert.ok(pieces < LONG.max_tokens);
  });

  test(`leaving the loop ends the request on the server: ${endpoint.name}`, async () => {
    const before = await disconnects();
    for await (const _ of await endpoint.create(client, { ...LONG, stream: true })) break;
    await until(async () => (await disconnects()) > before && (await idle()));
  });

  test(`an abort before the answer ends the request on the server: ${endpoint.name}`, async () => {
    const before = await disconnects();
    const stop = new AbortController();
    const answer = endpoint.create(client, LONG, { signal: stop.signal });
    const failed = failsWith(answer, APIUserAbortError, {});
    await until(async () => !(await idle()));
    stop.abort();
    await failed;
    await until(async () => (await disconnects()) > before && (await idle()));
  });
}

test(`${STREAMS} streams, one after the other, over kept connections`, async () => {
  let connections = 0;
  const count = () => {
    connections += 1;
  };
  subscribe(CONNECTED, count);
  for (let index = 0; index < STREAMS; index += 1) {
    const endpoint = ENDPOINTS[index % ENDPOINTS.length];
    const chunks = await endpoint.stream(client, { max_tokens: 1 });
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'length');
  }
  unsubscribe(CONNECTED, count);
  assert.ok(connections <= MOST_CONNECTIONS, `${connections} connections`);
});

test('requests at the same time get their own answers', async () => {
  const numbers = ['One, two,', 'A, B,', 'Monday, Tuesday,', CHAT.least.messages[0].content];
  const alone = [];
  for (const prompt of numbers) alone.push((await TEXT.create(client, { prompt, max_tokens: 4 })).choices[0].text);
  const together = await Promise.all(numbers.map((prompt) => TEXT.create(client, { prompt, max_tokens: 4 })));
  assert.deepEqual(together.map(({ choices }) => choices[0].text), alone);
});
