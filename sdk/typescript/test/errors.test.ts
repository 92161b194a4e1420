/** Statuses become classes, and errors say whose fault it was, which request and which limit. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as sdk from '@querent/realm';

import { failure, json, ScriptedServer } from './support/scripted-server.js';

const classes = { ...sdk };

const CLASSES: readonly (readonly [status: number, code: string, name: string])[] = [
  [400, 'invalid_value', 'BadRequestError'],
  [401, 'invalid_api_key', 'AuthenticationError'],
  [403, 'tenant_suspended', 'PermissionDeniedError'],
  [404, 'model_not_found', 'NotFoundError'],
  [405, 'method_not_allowed', 'APIError'],
  [413, 'body_too_large', 'APIError'],
  [422, 'program_failed', 'UnprocessableEntityError'],
  [429, 'requests_per_minute_exceeded', 'RateLimitError'],
  [429, 'overloaded', 'OverloadedError'],
  [500, 'internal_error', 'ServerError'],
  [501, 'x', 'ServerError'],
  [503, 'stopping', 'OverloadedError'],
];

for (const [status, code, name] of CLASSES) {
  test(`${status} ${code} is a ${name}`, async () => {
    const headers = { 'retry-after': '7', 'x-request-id': 'req-of-server' };
    await using server = await ScriptedServer.start(
      failure(status, { code, param: 'prompt', type: 'some_error', tenant: 'acme' }, headers),
    );
    const realm = new sdk.Realm({ baseURL: server.url, model: 'm', maxRetries: 0 });
    const calls: readonly (() => Promise<unknown>)[] = [
      () => realm.completions.create({ prompt: 'p' }),
      () => realm.chat.stream({ messages: [] }),
    ];
    for (const call of calls) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof sdk.APIError);
        assert.ok(error instanceof classes[name as 'APIError'], `${error.name} is no ${name}`);
        const { message, type, param, tenant, retryAfter, requestId } = error;
        assert.deepEqual(
          { name: error.name, status: error.status, code: error.code, message, type, param, tenant, retryAfter, requestId },
          { name, status, code, message: 'told so', type: 'some_error', param: 'prompt', tenant: 'acme', retryAfter: 7, requestId: 'req-of-server' },
        );
        return true;
      });
    }
  });
}

test('a limit has a name', async () => {
  await using server = await ScriptedServer.start(failure(429, { code: 'tokens_per_day_exceeded' }));
  const realm = new sdk.Realm({ baseURL: server.url, maxRetries: 0 });
  await assert.rejects(realm.models.list(), { limit: 'tokens_per_day_exceeded', retryAfter: undefined, tenant: undefined });
});

const FOREIGN: readonly (readonly [body: string, message: string])[] = [
  ['', 'HTTP 502'],
  ['<html>bad gateway</html>', 'HTTP 502: <html>bad gateway</html>'],
  ['x'.repeat(1000), `HTTP 502: ${'x'.repeat(200)}`],
  ['{"error": "no object"}', 'HTTP 502: {"error": "no object"}'],
  ['{"error": {"code": 7}}', 'HTTP 502: {"error": {"code": 7}}'],
];

for (const [body, message] of FOREIGN) {
  test(`an error that is not Realm's: ${JSON.stringify(body.slice(0, 30))}`, async () => {
    await using server = await ScriptedServer.start((response) => response.writeHead(502).end(body));
    const realm = new sdk.Realm({ baseURL: server.url, maxRetries: 0 });
    await assert.rejects(realm.models.list(), (error) => {
      assert.ok(error instanceof sdk.ServerError);
      assert.equal(error.message, message);
      assert.equal(error.code, undefined);
      assert.equal(error.requestId, server.requests[0]?.headers['x-request-id']);
      return true;
    });
  });
}

test('a success that is no JSON', async () => {
  await using server = await ScriptedServer.start((response) => response.end('<html>'), json([]));
  const realm = new sdk.Realm({ baseURL: server.url });
  await assert.rejects(realm.models.list(), sdk.ProtocolError);
  await assert.rejects(realm.models.list(), sdk.ProtocolError);
  assert.equal(server.requests.length, 2, 'never tried again');
});
