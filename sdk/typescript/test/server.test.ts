/** The library against the real server with the real model. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { APIError, AuthenticationError, BadRequestError, ConnectionError, NotFoundError, RateLimitError, Realm, TimeoutError } from '@querent/realm';

import { KEYS, MODEL, RealmServer } from './support/realm-server.js';

let server: RealmServer | undefined;
let baseURL: string;
let realm: Realm;

before(async () => {
  const started = await RealmServer.start();
  server = started;
  baseURL = started.url;
  realm = new Realm({ baseURL, apiKey: KEYS.main });
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
});

const FRANCE = { prompt: 'The capital of France is', maxTokens: 8, temperature: 0 };
const QUESTION = {
  messages: [{ role: 'user', content: 'Name the capital of France.' }],
  maxTokens: 16,
  temperature: 0,
} as const;
/** An answer that is not at its end when a test stops it. */
const LONG = { prompt: 'Once upon a time', maxTokens: 1500, temperature: 0, logitBias: { '0': -100, '2': -100 } };

/** Waits until a look gives true. */
async function until(look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('a completion', async () => {
  const completion = await realm.completions.create(FRANCE);
  assert.match(completion.text, /Paris/);
  assert.equal(completion.model, MODEL);
  assert.equal(completion.finishReason, 'length');
  assert.equal(completion.usage?.completionTokens, 8);
  assert.equal(completion.choices.length, 1);
  assert.match(completion.requestId, /^req-[0-9a-f]{32}$/);
});

test('a stream says the same as the whole answer, token by token', async () => {
  const whole = await realm.completions.create(FRANCE);
  const stream = await realm.completions.stream(FRANCE);
  const texts: string[] = [];
  for await (const token of stream) texts.push(token.text);
  assert.equal(texts.join(''), whole.text);
  assert.ok(texts.length > 4, `${texts.length} pieces`);
  assert.equal(stream.finishReason, 'length');
  assert.deepEqual(stream.usage?.completionTokens, whole.usage?.completionTokens);
});

test('several answers to several prompts, with probabilities', async () => {
  const params = { prompt: ['One, two,', 'A, B,'], n: 2, maxTokens: 3, seed: 7, logprobs: 2 };
  const { choices } = await realm.completions.create(params);
  assert.deepEqual(choices.map(({ index }) => index), [0, 1, 2, 3]);
  for (const { logprobs } of choices) {
    assert.equal(logprobs?.tokens.length, logprobs?.tokenLogprobs.length);
    assert.ok((logprobs?.tokens.length ?? 0) > 0);
  }
  const again = await realm.completions.create(params);
  assert.deepEqual(again.choices.map(({ text }) => text), choices.map(({ text }) => text), 'the seed holds');
});

test('a chat, whole and as a stream, and a second turn', async () => {
  const answer = await realm.chat.create(QUESTION);
  assert.match(answer.text, /Paris/);
  const stream = await realm.chat.stream(QUESTION);
  assert.equal(await stream.text(), answer.text);
  assert.equal(stream.finishReason, answer.finishReason);
  const more = [...QUESTION.messages, answer.message, { role: 'user', content: 'And of Italy?' }] as const;
  const second = await realm.chat.create({ ...QUESTION, messages: more });
  assert.ok(second.text.length > 0);
});

test('probabilities of a chat', async () => {
  const { choices } = await realm.chat.create({ ...QUESTION, maxTokens: 2, logprobs: true, topLogprobs: 3 });
  const [first] = choices[0]?.logprobs ?? [];
  assert.equal(first?.topLogprobs.length, 3);
  assert.ok((first?.logprob ?? 1) <= 0);
});

test('an answer held to a schema', async () => {
  const schema = { type: 'object', properties: { firstName: { type: 'string', maxLength: 8 } }, required: ['firstName'], additionalProperties: false };
  const responseFormat = { type: 'json_schema', jsonSchema: { name: 'person', schema, strict: true } } as const;
  const { text } = await realm.chat.create({ ...QUESTION, maxTokens: 64, responseFormat });
  assert.deepEqual(Object.keys(JSON.parse(text) as object), ['firstName']);
  const choice = await realm.completions.create({ ...FRANCE, structuredOutputs: { choice: ['yes', 'no'] } });
  assert.match(choice.text, /^(yes|no)$/);
});

test('models', async () => {
  const { data } = await realm.models.list();
  assert.deepEqual(data.map(({ id }) => id), [MODEL]);
  const model = await realm.models.retrieve(MODEL);
  assert.equal(model.ownedBy, 'realm');
  await assert.rejects(realm.models.retrieve('none/such'), (error) => {
    assert.ok(error instanceof NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
});

test('a wrong key is an error with the id of the request', async () => {
  const wrong = new Realm({ baseURL, apiKey: 'rlm_wrong', model: MODEL });
  const calls: readonly (() => Promise<unknown>)[] = [
    () => wrong.completions.create(FRANCE),
    () => wrong.chat.stream(QUESTION),
    () => wrong.models.list(),
  ];
  for (const call of calls) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof AuthenticationError);
      assert.equal(error.code, 'invalid_api_key');
      assert.equal(error.status, 401);
      assert.match(String(error.requestId), /^req-[0-9a-f]{32}$/);
      return true;
    });
  }
});

test('a wrong field is an error that names it', async () => {
  const call = realm.completions.create({ ...FRANCE, temperature: 9 });
  await assert.rejects(call, (error) => error instanceof BadRequestError && error.param === 'temperature');
  const unknown = realm.completions.create({ ...FRANCE, extraBody: { no_such_field: 1 } });
  await assert.rejects(unknown, (error) => error instanceof BadRequestError && error.code === 'unknown_parameter');
});

test('a limit is an error that names it and says when to come back', async () => {
  const limited = new Realm({ baseURL, apiKey: KEYS.limited, model: MODEL, maxRetries: 0 });
  await assert.rejects(
    async () => {
      for (let request = 0; request < 3; request++) await limited.completions.create({ ...FRANCE, maxTokens: 1 });
    },
    (error) => {
      assert.ok(error instanceof RateLimitError);
      assert.equal(error.limit, 'requests_per_minute_exceeded');
      assert.ok(error.retryAfter !== undefined && error.retryAfter > 0 && error.retryAfter <= 60, String(error.retryAfter));
      return true;
    },
  );
  assert.match((await realm.completions.create(FRANCE)).text, /Paris/, 'others are not limited');
});

async function disconnects(): Promise<number> {
  return await (server as RealmServer).sample('realm_client_disconnects_total', { tenant: 'main' });
}

async function running(): Promise<number> {
  return await (server as RealmServer).sample('realm_requests_running', { model: MODEL });
}

test('leaving the loop, an abort and cancel end the request on the server', async () => {
  const leave = async (): Promise<void> => {
    for await (const token of await realm.completions.stream(LONG)) {
      if (token.text === '') continue;
      await until(async () => (await running()) === 1);
      break;
    }
  };
  const abort = async (): Promise<void> => {
    const stop = new AbortController();
    const stream = await realm.completions.stream(LONG, { signal: stop.signal });
    await assert.rejects(
      async () => {
        for await (const _ of stream) stop.abort();
      },
      { name: 'AbortError' },
    );
  };
  const cancel = async (): Promise<void> => (await realm.completions.stream(LONG)).cancel();
  for (const end of [leave, abort, cancel]) {
    const earlier = await disconnects();
    await end();
    await until(async () => (await disconnects()) === earlier + 1);
    await until(async () => (await running()) === 0);
  }
});

test('a timeout ends the request on the server', async () => {
  const earlier = await disconnects();
  await assert.rejects(realm.completions.create(LONG, { timeout: 500 }), TimeoutError);
  await until(async () => (await disconnects()) === earlier + 1);
});

test('streams beside each other do not mix', async () => {
  const prompts = ['The capital of France is', 'One, two, three,', 'Once upon a time', 'The sky is', 'Water is made of', 'A, B, C,'];
  const alone: string[] = [];
  for (const prompt of prompts) alone.push((await realm.completions.create({ ...FRANCE, prompt })).text);
  const beside = prompts.map(async (prompt) => (await realm.completions.stream({ ...FRANCE, prompt })).text());
  assert.deepEqual(await Promise.all(beside), alone);
});

test('the official client, configured', async () => {
  const openai = await realm.openai({ maxRetries: 0 });
  const answer = await openai.chat.completions.create({
    model: MODEL,
    messages: [{ role: 'user', content: 'Name the capital of France.' }],
    max_tokens: 16,
    temperature: 0,
  });
  assert.match(answer.choices[0]?.message.content ?? '', /Paris/);
  let text = '';
  const stream = await openai.completions.create({ model: MODEL, prompt: FRANCE.prompt, max_tokens: 8, temperature: 0, stream: true });
  for await (const event of stream) text += event.choices[0]?.text ?? '';
  assert.match(text, /Paris/);
});

test('the official client sends no key where the client has none', async () => {
  const openai = await new Realm({ baseURL }).openai({ maxRetries: 0 });
  await assert.rejects(openai.models.list(), { status: 401, code: 'missing_api_key' });
});

test('a server that is gone is a connection error, in the middle of a stream a cut', async () => {
  await using mortal = await RealmServer.start();
  const client = new Realm({ baseURL: mortal.url, apiKey: KEYS.main, model: MODEL, maxRetries: 0 });
  const stream = await client.completions.stream(LONG);
  await assert.rejects(
    async () => {
      for await (const token of stream) if (token.text !== '') await mortal[Symbol.asyncDispose]();
    },
    { name: 'StreamCutError' },
  );
  await assert.rejects(client.models.list(), (error) => error instanceof ConnectionError && !(error instanceof APIError));
});

test('tokens of a text and back', async () => {
  const { tokens, count, maxModelLen } = await realm.tokenize({ prompt: 'Hello world' });
  assert.equal(tokens.length, count);
  assert.ok(maxModelLen > count);
  assert.equal((await realm.detokenize({ tokens })).text, 'Hello world');
});

test('a model that does not embed says so', async () => {
  const call = realm.embeddings.create({ input: 'a' });
  await assert.rejects(call, (error) => error instanceof BadRequestError && error.code === 'model_does_not_embed');
});
