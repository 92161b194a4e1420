/** What is wrong with a request, as the client's own classes of errors. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import {
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from 'openai';

import { CHAT, ENDPOINTS, keyOf, MODEL, official, TEXT } from '../support/asking.js';
import { failsWith } from '../support/judging.js';

const client = official();
const INVALID = { status: 400, type: 'invalid_request_error' };

/** Fields that get a 400 which names the parameter. */
const REFUSED = [
  { fields: { temperature: 2.1 }, param: 'temperature' },
  { fields: { top_p: '1' }, param: 'top_p' },
  { fields: { n: 0 }, param: 'n' },
  { fields: { max_tokens: -1 }, param: 'max_tokens' },
  { fields: { stop: ['a', 5] }, param: 'stop[1]' },
  { fields: { logit_bias: { five: 1 } }, param: 'logit_bias' },
  { fields: { stream_options: { include_usage: true } }, param: 'stream_options' },
  { fields: { temprature: 1 }, param: 'temprature' },
  { fields: { messages: [] }, param: 'messages' },
  { fields: { messages: [{ role: 'king', content: 'Hi' }] }, param: 'messages[0].role', only: 'chat' },
  { fields: { messages: [{ role: 'user', content: 'word '.repeat(2000) }] }, param: 'messages', only: 'chat' },
  { fields: { top_logprobs: 3 }, param: 'top_logprobs', only: 'chat' },
  { fields: { response_format: { type: 'xml' } }, param: 'response_format.type', only: 'chat' },
  { fields: { reasoning_effort: 'low' }, param: 'reasoning_effort', only: 'chat' },
  { fields: { modalities: ['text', 'audio'] }, param: 'modalities', only: 'chat' },
  { fields: { tools: [{ type: 'function', function: { name: 'clock' } }] }, param: 'tools' },
  { fields: { prompt: '' }, param: 'prompt', only: 'completions' },
  { fields: { prompt: [5, 49_152] }, param: 'prompt', only: 'completions' },
  { fields: { suffix: 'end' }, param: 'suffix', only: 'completions' },
  { fields: { logprobs: 6 }, param: 'logprobs', only: 'completions' },
  { fields: { n: 3, best_of: 2 }, param: 'best_of', only: 'completions' },
];

for (const endpoint of ENDPOINTS) {
  describe(endpoint.name, () => {
    for (const { fields, param } of REFUSED.filter(({ only = endpoint.name }) => only === endpoint.name)) {
      test(`refuses ${JSON.stringify(fields).slice(0, 60)}`, async () => {
        const error = await failsWith(endpoint.create(client, fields), BadRequestError, { ...INVALID, param });
        assert.ok(error.code);
        assert.ok(error.message.includes(param.split(/[.[]/)[0]) || error.code === 'context_length_exceeded');
        assert.match(error.requestID, /^req-/);
      });
    }

    test('refuses a stream before it begins', async () => {
      await failsWith(endpoint.stream(client, { n: 0 }), BadRequestError, { ...INVALID, param: 'n' });
    });

    test('does not know another model', async () => {
      const wanted = { status: 404, code: 'model_not_found', param: 'model' };
      const error = await failsWith(endpoint.create(client, { model: 'gpt-9' }), NotFoundError, wanted);
      assert.ok(error.message.includes('gpt-9') && error.message.includes(MODEL));
    });
  });
}

test('an embedding of a model that generates is refused by name', async () => {
  const embedding = client.embeddings.create({ model: MODEL, input: 'Hi' });
  await failsWith(embedding, BadRequestError, { ...INVALID, param: 'model', code: 'model_does_not_embed' });
});

/** Keys that do not fit, and the error that they get. */
const KEYS = [
  { key: 'wrong', kind: AuthenticationError, status: 401, code: 'invalid_api_key' },
  { key: keyOf('expired'), kind: AuthenticationError, status: 401, code: 'api_key_expired' },
  { key: keyOf('suspended'), kind: PermissionDeniedError, status: 403, code: 'tenant_suspended' },
];

const ASKING = {
  models: (stranger) => stranger.models.list(),
  chat: (stranger) => CHAT.create(stranger),
  'a stream': (stranger) => TEXT.stream(stranger),
  embeddings: (stranger) => stranger.embeddings.create({ model: MODEL, input: 'Hi' }),
  responses: (stranger) => stranger.responses.create({ model: MODEL, input: 'Hi' }),
};

for (const { key, kind, status, code } of KEYS) {
  for (const [what, ask] of Object.entries(ASKING)) {
    test(`${code}, asked for ${what}`, async () => {
      const error = await failsWith(ask(official('free', { apiKey: key })), kind, { status, code });
      assert.match(error.requestID, /^req-/);
    });
  }
}

test('a request too many is a RateLimitError that says when to come back', async () => {
  const limited = official('requests');
  for (const left of ['1', '0']) {
    const { response } = await TEXT.create(limited, { max_tokens: 1 }).withResponse();
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '2');
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), left);
    assert.match(response.headers.get('x-ratelimit-reset-requests'), /s$/);
  }
  const wanted = { status: 429, code: 'requests_per_minute_exceeded', type: 'rate_limit_error' };
  const error = await failsWith(CHAT.create(limited, { max_tokens: 1 }), RateLimitError, wanted);
  const seconds = Number(error.headers.get('retry-after'));
  assert.ok(seconds >= 1 && seconds <= 60, String(seconds));
  assert.equal(error.headers.get('x-ratelimit-remaining-requests'), '0');
});

test('tokens too many are a RateLimitError that names the limit', async () => {
  const limited = official('tokens');
  await TEXT.create(limited, { max_tokens: 15 });
  const wanted = { status: 429, code: 'output_tokens_per_minute_exceeded' };
  await failsWith(TEXT.create(limited, { max_tokens: 18 }), RateLimitError, wanted);
});

test('more than a tenant may ever ask for is a BadRequestError', async () => {
  const wanted = { ...INVALID, code: 'max_output_tokens_exceeded', param: 'max_tokens' };
  await failsWith(TEXT.create(official('capped'), { max_tokens: 6 }), BadRequestError, wanted);
});

test('a limit of one tenant is not one of others', async () => {
  const { response } = await TEXT.create(client, { max_tokens: 1 }).withResponse();
  assert.deepEqual([...response.headers.keys()].filter((name) => name.startsWith('x-ratelimit')), []);
});
