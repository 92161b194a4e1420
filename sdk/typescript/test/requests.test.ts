/** What goes over the wire, and what is made of what comes back. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ProtocolError, Realm, RealmError } from '@querent/realm';

import { chat, completion, delta, models } from './support/documents.js';
import { events, json, ScriptedServer } from './support/scripted-server.js';

test('parameters have their wire names, and what is inside schemas stays as it is', async () => {
  await using server = await ScriptedServer.start(json(chat({ role: 'assistant', content: 'x' })));
  const realm = new Realm({ baseURL: server.url });
  const schema = { type: 'object', properties: { firstName: { type: 'string' } } };
  const call = { id: 'c', type: 'function', function: { name: 'getAge', arguments: '{"firstName":1}' } } as const;
  await realm.chat.create({
    model: 'm',
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'q' }] },
      { role: 'assistant', content: null, toolCalls: [call] },
      { role: 'tool', content: '7', toolCallId: 'c' },
    ],
    maxTokens: 9,
    topP: 0.5,
    topK: 3,
    minP: 0.1,
    repetitionPenalty: 1.1,
    presencePenalty: 0.2,
    frequencyPenalty: 0.3,
    logitBias: { '7': -1 },
    topLogprobs: 2,
    logprobs: true,
    parallelToolCalls: false,
    toolChoice: { type: 'function', function: { name: 'getAge' } },
    tools: [{ type: 'function', function: { name: 'getAge', parameters: schema } }],
    responseFormat: { type: 'json_schema', jsonSchema: { name: 'aName', schema, strict: true } },
    structuredOutputs: { choice: ['aB'] },
    user: undefined,
    extraBody: { camelCase: { itStays: 1 }, max_tokens: 10 },
  });
  assert.deepEqual(server.requests[0]?.body, {
    model: 'm',
    messages: [
      { role: 'user', content: [{ type: 'text', text: 'q' }] },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', content: '7', tool_call_id: 'c' },
    ],
    max_tokens: 10,
    top_p: 0.5,
    top_k: 3,
    min_p: 0.1,
    repetition_penalty: 1.1,
    presence_penalty: 0.2,
    frequency_penalty: 0.3,
    logit_bias: { '7': -1 },
    top_logprobs: 2,
    logprobs: true,
    parallel_tool_calls: false,
    tool_choice: { type: 'function', function: { name: 'getAge' } },
    tools: [{ type: 'function', function: { name: 'getAge', parameters: schema } }],
    response_format: { type: 'json_schema', json_schema: { name: 'aName', schema, strict: true } },
    structured_outputs: { choice: ['aB'] },
    camelCase: { itStays: 1 },
  });
});

test('a stream asks for its token counts, and can be told not to', async () => {
  await using server = await ScriptedServer.start(events('[DONE]'));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  await (await realm.completions.stream({ prompt: [1, 2], bestOf: 1 })).text();
  await (await realm.completions.stream({ prompt: 'p', extraBody: { stream_options: {} } })).text();
  assert.deepEqual(
    server.requests.map(({ body }) => body),
    [
      { model: 'm', prompt: [1, 2], best_of: 1, stream: true, stream_options: { include_usage: true } },
      { model: 'm', prompt: 'p', stream: true, stream_options: {} },
    ],
  );
});

test('a request without a model asks once for the first of the server', async () => {
  await using server = await ScriptedServer.start(json(models('first', 'second')), json(completion('x')));
  const realm = new Realm({ baseURL: server.url });
  await realm.completions.create({ prompt: 'p' });
  await realm.completions.create({ prompt: 'p' });
  await realm.completions.create({ prompt: 'p', model: 'second' });
  const asked = server.requests.map(({ method, path, body }) => [method, path, body?.['model']]);
  const completions = ['POST', '/v1/completions'];
  assert.deepEqual(asked, [
    ['GET', '/v1/models', undefined],
    [...completions, 'first'],
    [...completions, 'first'],
    [...completions, 'second'],
  ]);
});

test('a server without models is told from a model without a name', async () => {
  await using server = await ScriptedServer.start(json(models()));
  const realm = new Realm({ baseURL: server.url });
  await assert.rejects(realm.completions.create({ prompt: 'p' }), /lists no model/);
});

test('headers: key, own ones, and an id that errors have too', async () => {
  await using server = await ScriptedServer.start(json(completion('x')));
  const realm = new Realm({ baseURL: server.url, apiKey: 'k', model: 'm', headers: { 'x-a': '1', 'x-b': '1' } });
  const mine = { headers: { 'x-b': '2', 'x-request-id': 'mine' } };
  const answers = [await realm.completions.create({ prompt: 'p' }), await realm.completions.create({ prompt: 'p' }, mine)];
  const [first, second] = server.requests.map(({ headers }) => headers);
  assert.equal(first?.authorization, 'Bearer k');
  assert.equal(first?.['content-type'], 'application/json');
  assert.match(String(first?.['x-request-id']), /^req-[0-9a-f]{32}$/);
  assert.deepEqual([second?.['x-a'], second?.['x-b'], second?.['x-request-id']], ['1', '2', 'mine']);
  assert.deepEqual(answers.map(({ requestId }) => requestId), [first?.['x-request-id'], 'mine']);
});

test('the base URL may end with a slash or /v1, and has a path of its own', async () => {
  await using server = await ScriptedServer.start(json(models('m')));
  for (const end of ['', '/', '/v1', '/v1/', '/realm', '/realm/v1/']) {
    await new Realm({ baseURL: server.url + end }).models.list();
  }
  const paths = server.requests.map(({ path }) => path);
  assert.deepEqual(paths, [...Array<string>(4).fill('/v1/models'), '/realm/v1/models', '/realm/v1/models']);
});

test('options that cannot be used are refused at once', () => {
  for (const baseURL of ['', 'realm', 'ftp://h', 'http://user:pw@h', 'http://h?a=b', 'http://h#a']) {
    assert.throws(() => new Realm({ baseURL }), RealmError, baseURL);
  }
  for (const timeout of [0, -1, Number.NaN]) assert.throws(() => new Realm({ timeout }), RealmError);
  for (const maxRetries of [-1, 1.5, 11]) assert.throws(() => new Realm({ maxRetries }), RealmError);
});

test('server and key come from the environment unless given', async () => {
  await using server = await ScriptedServer.start(json(models('m')));
  process.env['REALM_BASE_URL'] = server.url;
  process.env['REALM_API_KEY'] = 'of-the-environment';
  try {
    await new Realm().models.list();
    await new Realm({ apiKey: 'given' }).models.list();
  } finally {
    delete process.env['REALM_BASE_URL'];
    delete process.env['REALM_API_KEY'];
  }
  const keys = server.requests.map(({ headers }) => headers.authorization);
  assert.deepEqual(keys, ['Bearer of-the-environment', 'Bearer given']);
});

test('an answer of a chat can be sent back, calls of tools included', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
  const message = { role: 'assistant', content: null, refusal: null, tool_calls: [call] };
  await using server = await ScriptedServer.start(json(chat(message, 'tool_calls')));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  const answer = await realm.chat.create({ messages: [{ role: 'user', content: 'q' }] });
  assert.equal(answer.text, '');
  assert.equal(answer.finishReason, 'tool_calls');
  assert.deepEqual(answer.usage, { promptTokens: 3, completionTokens: 2, totalTokens: 5, cachedTokens: 1 });
  await realm.chat.create({ messages: [answer.message] });
  assert.deepEqual(server.requests[1]?.body?.['messages'], [{ role: 'assistant', content: null, tool_calls: [call] }]);
});

test('calls of tools come in pieces', async () => {
  const called = (index: number, rest: object): object => ({ tool_calls: [{ index, ...rest }] });
  await using server = await ScriptedServer.start(
    events(
      delta({ role: 'assistant', content: '' }),
      delta({ content: 'so' }),
      delta(called(0, { id: 'c', type: 'function', function: { name: 'f', arguments: '' } })),
      delta(called(0, { function: { arguments: '{}' } })),
      delta({}, 'tool_calls'),
      '[DONE]',
    ),
  );
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  const stream = await realm.chat.stream({ messages: [{ role: 'user', content: 'q' }] });
  const tokens = [];
  for await (const { text, toolCalls, finishReason } of stream) tokens.push({ text, toolCalls, finishReason });
  assert.deepEqual(tokens, [
    { text: 'so', toolCalls: [], finishReason: null },
    { text: '', toolCalls: [{ index: 0, id: 'c', name: 'f', arguments: '' }], finishReason: null },
    { text: '', toolCalls: [{ index: 0, id: undefined, name: undefined, arguments: '{}' }], finishReason: null },
    { text: '', toolCalls: [], finishReason: 'tool_calls' },
  ]);
});

test('probabilities of a completion', async () => {
  const logprobs = {
    tokens: ['a', 'b'],
    token_logprobs: [null, -0.5],
    top_logprobs: [null, { b: -0.5, c: -2 }],
    text_offset: [0, 1],
  };
  const document = { ...completion('ab'), choices: [{ index: 0, text: 'ab', finish_reason: 'length', logprobs }] };
  await using server = await ScriptedServer.start(json(document));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  const { choices } = await realm.completions.create({ prompt: 'a', echo: true, logprobs: 2 });
  assert.deepEqual(choices[0]?.logprobs, {
    tokens: ['a', 'b'],
    tokenLogprobs: [null, -0.5],
    topLogprobs: [null, { b: -0.5, c: -2 }],
    textOffset: [0, 1],
  });
});

test('embeddings, as numbers or base64, in the order of the inputs', async () => {
  const base64 = Buffer.from(Float32Array.of(0.5, -2).buffer).toString('base64');
  const data = [
    { object: 'embedding', index: 1, embedding: base64 },
    { object: 'embedding', index: 0, embedding: [0.25, 1] },
  ];
  const usage = { prompt_tokens: 4, total_tokens: 4 };
  const broken = { object: 'list', data: [{ index: 0, embedding: 'AAA=' }], model: 'm', usage };
  await using server = await ScriptedServer.start(json({ object: 'list', data, model: 'm', usage }), json(broken));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  const answer = await realm.embeddings.create({ input: ['a', 'b'], encodingFormat: 'base64', dimensions: 2 });
  assert.deepEqual(answer.vectors, [[0.25, 1], [0.5, -2]]);
  assert.equal(answer.usage?.promptTokens, 4);
  assert.deepEqual([server.requests[0]?.path, server.requests[0]?.body], [
    '/v1/embeddings',
    { model: 'm', input: ['a', 'b'], encoding_format: 'base64', dimensions: 2 },
  ]);
  await assert.rejects(realm.embeddings.create({ input: 'a' }), ProtocolError);
});

test('tokens of a text, of a conversation, and back', async () => {
  const tokens = { tokens: [1, 2], count: 2, max_model_len: 2048, token_strs: ['a', 'b'] };
  await using server = await ScriptedServer.start(json(tokens), json(tokens), json({ prompt: 'ab' }));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  const { requestId, ...rest } = await realm.tokenize({ prompt: 'ab', addSpecialTokens: false, returnTokenStrs: true });
  assert.deepEqual(rest, { tokens: [1, 2], count: 2, maxModelLen: 2048, tokenStrs: ['a', 'b'] });
  assert.match(requestId, /^req-/);
  await realm.tokenize({ messages: [{ role: 'tool', content: 'x', toolCallId: 'c' }] });
  assert.equal((await realm.detokenize({ tokens: [1, 2] })).text, 'ab');
  assert.deepEqual(server.requests.map(({ path, body }) => [path, body]), [
    ['/tokenize', { model: 'm', prompt: 'ab', add_special_tokens: false, return_token_strs: true }],
    ['/tokenize', { model: 'm', messages: [{ role: 'tool', content: 'x', tool_call_id: 'c' }] }],
    ['/detokenize', { model: 'm', tokens: [1, 2] }],
  ]);
});

test('models, also with a slash in their name', async () => {
  const model = { id: 'a/b c', object: 'model', created: 1, owned_by: 'realm', state: 'loaded' };
  await using server = await ScriptedServer.start(json({ object: 'list', data: [model] }), json(model));
  const realm = new Realm({ baseURL: server.url });
  assert.deepEqual((await realm.models.list()).data.map(({ id }) => id), ['a/b c']);
  const { requestId: _, ...one } = await realm.models.retrieve('a/b c');
  assert.deepEqual(one, { id: 'a/b c', created: 1, ownedBy: 'realm', details: model });
  assert.equal(server.requests[1]?.path, '/v1/models/a/b%20c');
});

test('an answer that is not what was promised is refused with the place', async () => {
  await using server = await ScriptedServer.start(json({ ...completion('x'), choices: [{ index: 0, text: 7 }] }));
  const realm = new Realm({ baseURL: server.url, model: 'm' });
  await assert.rejects(realm.completions.create({ prompt: 'p' }), {
    name: 'ProtocolError',
    message: 'the answer.choices.0.text is not a string',
  });
});
