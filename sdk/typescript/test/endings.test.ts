/** Calls that end before their answer: timeouts, aborts, loops that are left. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';

import { Realm, TimeoutError } from '@querent/realm';

import { completion, piece } from './support/documents.js';
import { events, json, openEvents, ScriptedServer, silence } from './support/scripted-server.js';

const PROMPT = { prompt: 'p' };

function client(server: ScriptedServer, timeout?: number): Realm {
  return new Realm({ baseURL: server.url, model: 'm', timeout });
}

/** The first request's connection, once it has come and was closed by the client. */
async function closedByClient(server: ScriptedServer): Promise<void> {
  const { gone } = await server.first();
  await gone;
}

test('no answer in time, whole or as a stream, is an error and ends the request', async () => {
  for (const ask of ['create', 'stream'] as const) {
    await using server = await ScriptedServer.start(silence);
    const call: Promise<unknown> = client(server).completions[ask](PROMPT, { timeout: 300 });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof TimeoutError);
      assert.match(error.message, /300 ms/);
      assert.equal(error.requestId, server.requests[0]?.headers['x-request-id'] ?? error.requestId);
      return true;
    });
    await closedByClient(server);
    assert.equal(server.requests.length, 1, 'a timeout is not tried again');
  }
});

test('half an answer in time is an error too', async () => {
  await using server = await ScriptedServer.start((response) => void response.writeHead(200).write('{'));
  await assert.rejects(client(server, 300).models.list(), TimeoutError);
  await closedByClient(server);
});

test('a stream that falls silent is an error after what came', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a')));
  const stream = await client(server, 300).completions.stream(PROMPT);
  const texts: string[] = [];
  await assert.rejects(async () => {
    for await (const token of stream) texts.push(token.text);
  }, TimeoutError);
  assert.deepEqual(texts, ['a']);
  await closedByClient(server);
});

test('time that the reader takes does not count', async () => {
  await using server = await ScriptedServer.start((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`data: ${piece('a')}\n\n`);
    setTimeout(() => response.end(`data: ${piece('b')}\n\ndata: [DONE]\n\n`), 400);
  });
  const stream = await client(server, 300).completions.stream(PROMPT);
  let text = '';
  for await (const token of stream) {
    text += token.text;
    if (token.text === 'a') await new Promise((resolve) => setTimeout(resolve, 350));
  }
  assert.equal(text, 'ab');
});

test('leaving the loop ends the request', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a'), piece('b')));
  const texts: string[] = [];
  for await (const token of await client(server).completions.stream(PROMPT)) {
    texts.push(token.text);
    break;
  }
  assert.deepEqual(texts, ['a']);
  await closedByClient(server);
});

test('an error in the loop ends the request', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a')));
  const stream = await client(server).completions.stream(PROMPT);
  await assert.rejects(async () => {
    for await (const token of stream) throw new Error(`at ${token.text}`);
  }, /at a/);
  await closedByClient(server);
});

test('cancel ends a loop that waits, without an error', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a')));
  const stream = await client(server).completions.stream(PROMPT);
  const texts: string[] = [];
  for await (const token of stream) {
    texts.push(token.text);
    setImmediate(() => stream.cancel());
  }
  assert.deepEqual(texts, ['a']);
  await closedByClient(server);
});

test('a stream that was cancelled before the loop gives nothing', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a')));
  const stream = await client(server).completions.stream(PROMPT);
  stream.cancel();
  assert.equal(await stream.text(), '');
  await closedByClient(server);
});

test('an abort ends the request and throws the reason', async () => {
  const reason = new Error('enough');
  await using server = await ScriptedServer.start(silence);
  for (const ask of ['create', 'stream'] as const) {
    const stop = new AbortController();
    const call: Promise<unknown> = client(server).completions[ask](PROMPT, { signal: stop.signal });
    stop.abort(reason);
    await assert.rejects(call, (error) => error === reason);
    await assert.rejects(client(server).completions[ask](PROMPT, { signal: stop.signal }), (error) => error === reason);
  }
});

test('an abort in the loop throws before the next token, even one that has come already', async () => {
  await using server = await ScriptedServer.start(openEvents(piece('a'), piece('b')));
  const stop = new AbortController();
  const stream = await client(server).completions.stream(PROMPT, { signal: stop.signal });
  const texts: string[] = [];
  await assert.rejects(
    async () => {
      for await (const token of stream) {
        texts.push(token.text);
        stop.abort();
      }
    },
    { name: 'AbortError' },
  );
  assert.deepEqual(texts, ['a']);
  await closedByClient(server);
});

test('the signal of a call that has ended is left alone', async () => {
  await using server = await ScriptedServer.start(json(completion('x')), events(piece('a'), '[DONE]'));
  const listeners = new Set<unknown>();
  const stop = new AbortController();
  const { signal } = stop;
  const add = signal.addEventListener.bind(signal) as (...args: unknown[]) => void;
  const remove = signal.removeEventListener.bind(signal) as (...args: unknown[]) => void;
  signal.addEventListener = (...args: unknown[]): void => void (listeners.add(args[1]), add(...args));
  signal.removeEventListener = (...args: unknown[]): void => void (listeners.delete(args[1]), remove(...args));
  const realm = client(server);
  await realm.completions.create(PROMPT, { signal });
  await (await realm.completions.stream(PROMPT, { signal })).text();
  assert.equal(listeners.size, 0);
});

test('streams that were read to their end share one connection', async () => {
  const ports = new Set<number | undefined>();
  let open: ServerResponse | undefined;
  await using server = await ScriptedServer.start((response, request) => {
    ports.add(response.socket?.remotePort);
    openEvents(piece('a'), '[DONE]')(response, request);
    open = response;
  });
  const realm = client(server);
  for (let round = 0; round < 20; round++) {
    assert.equal(await (await realm.completions.stream(PROMPT)).text(), 'a');
    assert.ok(open);
    // The end of the body comes after the client has seen that the answer is whole.
    const closed = once(open, 'close');
    open.end();
    await closed;
  }
  assert.ok(ports.size < 10, `20 streams took ${ports.size} connections`);
});
