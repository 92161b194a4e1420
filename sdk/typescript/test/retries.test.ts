/** What is tried again, how long a try waits, and what is never tried again. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { APIError, ConnectionError, OverloadedError, RateLimitError, Realm, RealmError, StreamCutError, TimeoutError } from '@querent/realm';

import { parseRetryAfter } from '../dist/esm/transport/retry-after.js';
import { waitBefore } from '../dist/esm/transport/retry.js';
import { completion, piece } from './support/documents.js';
import { type Answer, events, failure, hangUp, json, ScriptedServer } from './support/scripted-server.js';

const AT_ONCE = { 'retry-after': '0' };
const WHOLE = json(completion('x'));

function client(server: ScriptedServer, maxRetries: number): Realm {
  return new Realm({ baseURL: server.url, model: 'm', maxRetries });
}

const PASSING: readonly (readonly [name: string, answer: Answer])[] = [
  ...[429, 500, 502, 503, 504].map((status) => [String(status), failure(status, {}, AT_ONCE)] as const),
  ['a broken connection', hangUp],
  ['half an answer', (response): void => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('{', () => response.destroy());
  }],
];

for (const [name, answer] of PASSING) {
  test(`${name} is tried again, each try with an id of its own`, async () => {
    await using server = await ScriptedServer.start(answer, WHOLE);
    assert.equal((await client(server, 1).completions.create({ prompt: 'p' })).text, 'x');
    const ids = server.requests.map(({ headers }) => headers['x-request-id']);
    assert.equal(new Set(ids).size, 2);
  });

  test(`${name} is an error after the last try`, async () => {
    await using server = await ScriptedServer.start(answer);
    await assert.rejects(client(server, 1).completions.create({ prompt: 'p' }), RealmError);
    assert.equal(server.requests.length, 2);
  });
}

test('a stream is tried again until it begins', async () => {
  const whole = events(piece('a'), '[DONE]');
  await using server = await ScriptedServer.start(failure(503, {}, AT_ONCE), whole);
  assert.equal(await (await client(server, 1).completions.stream({ prompt: 'p' })).text(), 'a');
});

test('a stream that has begun is never tried again', async () => {
  await using server = await ScriptedServer.start(events(piece('a')));
  const stream = await client(server, 5).completions.stream({ prompt: 'p' });
  await assert.rejects(stream.text(), StreamCutError);
  assert.equal(server.requests.length, 1);
});

for (const status of [400, 401, 403, 404, 405, 422, 501]) {
  test(`${status} is final`, async () => {
    await using server = await ScriptedServer.start(failure(status, {}, AT_ONCE));
    await assert.rejects(client(server, 5).completions.create({ prompt: 'p' }), APIError);
    assert.equal(server.requests.length, 1);
  });
}

test('the number of tries can be given with a request', async () => {
  await using server = await ScriptedServer.start(failure(503, {}, AT_ONCE));
  await assert.rejects(client(server, 0).models.list({ maxRetries: 3 }), OverloadedError);
  assert.equal(server.requests.length, 4);
});

test('who asks to come back later than a minute is not waited for', async () => {
  await using server = await ScriptedServer.start(failure(429, { code: 'tokens_per_day_exceeded' }, { 'retry-after': '61' }));
  await assert.rejects(client(server, 5).models.list(), (error) => error instanceof RateLimitError && error.retryAfter === 61);
  assert.equal(server.requests.length, 1);
});

test('a wait that the timeout does not hold is not begun', async () => {
  await using server = await ScriptedServer.start(failure(429, {}, { 'retry-after': '30' }));
  await assert.rejects(client(server, 5).models.list({ timeout: 20_000 }), RateLimitError);
  assert.equal(server.requests.length, 1);
});

test('an abort ends a wait', async () => {
  await using server = await ScriptedServer.start(failure(429, {}, { 'retry-after': '30' }));
  const stop = new AbortController();
  const reason = new Error('enough');
  const call = client(server, 5).models.list({ signal: stop.signal });
  const stopped = assert.rejects(call, (error) => error === reason);
  // The wait begins when the answer was read; an abort before that is told in the same way.
  await server.first();
  stop.abort(reason);
  await stopped;
});

test('nobody listens: the error says so', async () => {
  const gone = await ScriptedServer.start(WHOLE);
  const baseURL = gone.url;
  await gone[Symbol.asyncDispose]();
  await assert.rejects(new Realm({ baseURL, maxRetries: 0 }).models.list(), (error) => {
    assert.ok(error instanceof ConnectionError);
    assert.match(error.message, /ECONNREFUSED/);
    assert.match(String(error.requestId), /^req-/);
    return true;
  });
});

function refusal(status: number | undefined, retryAfter?: number): APIError {
  const none = { code: undefined, type: undefined, param: undefined, tenant: undefined };
  return new APIError('no', { ...none, status, retryAfter }, 'req');
}

const WAITS: readonly (readonly [error: unknown, retry: number, least: number | undefined, most: number | undefined])[] = [
  [new ConnectionError('x'), 0, 250, 500],
  [refusal(500), 1, 500, 1000],
  [refusal(500), 2, 1000, 2000],
  [refusal(503), 4, 4000, 8000],
  [refusal(503), 9, 4000, 8000],
  [refusal(429, 0), 0, 0, 0],
  [refusal(429, 10), 0, 10_000, 11_000],
  [refusal(429, 60), 5, 60_000, 66_000],
  [refusal(429, 60.1), 0, undefined, undefined],
  [refusal(undefined, 1), 0, undefined, undefined],
  [new TimeoutError('x'), 0, undefined, undefined],
  [new StreamCutError('x'), 0, undefined, undefined],
  [new TypeError('x'), 0, undefined, undefined],
];

test('waits double up to a bound, and Retry-After is never undercut', () => {
  for (const [error, retry, least, most] of WAITS) {
    assert.equal(waitBefore(retry, error, 0), least, String(error));
    assert.equal(waitBefore(retry, error, 1), most, String(error));
  }
});

const HEADERS: readonly (readonly [header: string | null, seconds: number | undefined])[] = [
  [null, undefined],
  ['', undefined],
  ['soon', undefined],
  ['0', 0],
  [' 12 ', 12],
  ['Thu, 01 Jan 1970 00:01:00 GMT', 60],
  ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
];

test('Retry-After in seconds and as a date', () => {
  for (const [header, seconds] of HEADERS) assert.equal(parseRetryAfter(header, 0), seconds, String(header));
  assert.equal(parseRetryAfter('Thu, 01 Jan 1970 00:00:00 GMT', 5000), 0, 'a date that is over');
});
