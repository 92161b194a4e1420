/** The AI SDK, by its provider for compatible servers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { APICallError, generateObject, generateText, jsonSchema, Output, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';

import { aiModel, aiModelWithTools, CAPITAL, collect, MODEL, YES } from '../support/asking.js';
import { endsAsItMay, failsWith } from '../support/judging.js';
import { sample, until } from '../support/metrics.js';
import { isWeather, TOOL_QUESTION, WEATHER } from '../support/tools.js';

const QUESTION = 'Name the capital of France.';
const LEAST = { model: aiModel(), prompt: QUESTION, maxOutputTokens: 12, temperature: 0, maxRetries: 0 };
const PERSON = z.object({ name: z.string().max(12), age: z.number().int().min(0).max(120) }).strict();
const GRUESSE = '🙂 Grüße, 世界 🙃';

/** Asks for the whole text, and for the same as a stream. */
const WAYS = [
  { way: 'whole', ask: async (fields) => await generateText({ ...LEAST, ...fields }) },
  {
    way: 'streamed',
    ask: async (fields) => {
      const stream = streamText({ ...LEAST, ...fields, onError: () => undefined });
      const pieces = await collect(stream.textStream);
      const [text, finishReason, usage, response] = await Promise.all([
        stream.text,
        stream.finishReason,
        stream.usage,
        stream.response,
      ]);
      assert.equal(pieces.join(''), text);
      return { text, finishReason, usage, response };
    },
  },
];

/** Fields, and what the answer is then. */
const EFFECTS = [
  { name: 'a prompt', fields: {}, holds: (text) => text.includes('Paris') },
  {
    name: 'a system prompt',
    fields: { system: 'You answer in one word.', messages: [{ role: 'user', content: QUESTION }], prompt: undefined },
    holds: (text) => text.includes('Paris'),
  },
  { name: 'maxOutputTokens', fields: { maxOutputTokens: 3 }, holds: Boolean, reason: 'length', tokens: 3 },
  {
    name: 'stopSequences',
    fields: { stopSequences: ['Paris'] },
    holds: (text) => !text.includes('Paris'),
    reason: 'stop',
  },
  { name: 'topP and seed', fields: { temperature: 2, topP: 1e-6, seed: 5 }, holds: (text) => text.includes('Paris') },
  {
    name: 'a field of the provider',
    fields: { providerOptions: { realm: { logit_bias: { [YES]: 100 } } }, maxOutputTokens: 3 },
    holds: (text) => text === ' yes yes yes',
    reason: 'length',
  },
  {
    name: 'characters of many bytes',
    fields: { providerOptions: { realm: { structured_outputs: { choice: [GRUESSE] } } }, maxOutputTokens: 60 },
    holds: (text) => text === GRUESSE,
    reason: 'stop',
  },
  {
    name: 'a completion',
    fields: { model: aiModel('free', 'completionModel'), prompt: CAPITAL },
    holds: Boolean,
  },
];

for (const { way, ask } of WAYS) {
  for (const { name, fields, holds, reason, tokens } of EFFECTS) {
    test(`${name}, ${way}`, async () => {
      const { text, finishReason, usage, response } = await ask(fields);
      assert.ok(holds(text), text);
      endsAsItMay(finishReason, reason);
      assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
      assert.equal(usage.totalTokens, usage.inputTokens + usage.outputTokens);
      assert.equal(tokens ?? usage.outputTokens, usage.outputTokens);
      assert.equal(response.modelId, MODEL);
      assert.match(response.headers['x-request-id'], /^req-/);
    });
  }

  test(`a seed gives the same text again, ${way}`, async () => {
    const fields = { temperature: 1.5, seed: 7 };
    assert.equal((await ask(fields)).text, (await ask(fields)).text);
    assert.notEqual((await ask(fields)).text, (await ask({ ...fields, seed: 8 })).text);
  });
}

const OBJECT = { model: aiModel(), schema: PERSON, prompt: 'Make a person.', maxOutputTokens: 120, maxRetries: 0 };

test('generateObject', async () => {
  const { object, finishReason } = await generateObject({ ...OBJECT, temperature: 0 });
  assert.ok(PERSON.safeParse(object).success);
  assert.equal(finishReason, 'stop');
});

test('streamObject', async () => {
  const stream = streamObject({ ...OBJECT, temperature: 0 });
  const partial = await collect(stream.partialObjectStream);
  const object = await stream.object;
  assert.ok(PERSON.safeParse(object).success);
  assert.deepEqual(partial.at(-1), object);
  assert.ok((await stream.usage).outputTokens > 0);
});

test('generateText with an output of a schema', async () => {
  const { schema, ...fields } = OBJECT;
  const { output } = await generateText({ ...fields, temperature: 1, seed: 3, output: Output.object({ schema }) });
  assert.ok(PERSON.safeParse(output).success);
});

test('generateObject of an enumeration', async () => {
  const { schema: _, ...fields } = OBJECT;
  const { object } = await generateObject({ ...fields, output: 'enum', enum: ['left', 'right'], temperature: 0 });
  assert.ok(['left', 'right'].includes(object));
});

const tools = { get_weather: tool({ description: 'The weather.', inputSchema: jsonSchema(WEATHER) }) };
const CALL = {
  model: aiModelWithTools(),
  messages: TOOL_QUESTION,
  tools,
  toolChoice: { type: 'tool', toolName: 'get_weather' },
  providerOptions: { realm: { parallel_tool_calls: false } },
  maxOutputTokens: 100,
  temperature: 0,
  maxRetries: 0,
};

test('a call of a tool, whole', async () => {
  const { toolCalls, finishReason } = await generateText(CALL);
  assert.equal(finishReason, 'tool-calls');
  assert.deepEqual(toolCalls.map(({ toolName, input }) => [toolName, isWeather(input)]), [['get_weather', true]]);
});

test('a call of a tool, streamed', async () => {
  const stream = streamText(CALL);
  const parts = await collect(stream.fullStream);
  const calls = parts.filter(({ type }) => type === 'tool-call');
  assert.deepEqual(calls.map(({ toolName, input }) => [toolName, isWeather(input)]), [['get_weather', true]]);
  assert.ok(parts.some(({ type }) => type === 'tool-input-delta'));
  assert.equal(await stream.finishReason, 'tool-calls');
});

/** What is wrong with a request, and the status that it gets. */
const WRONG = [
  { name: 'a wrong key', fields: { model: aiModel('nobody') }, statusCode: 401, isRetryable: false },
  {
    name: 'an unknown model',
    fields: { model: aiModel('free', 'chatModel', 'gpt-9') },
    statusCode: 404,
    isRetryable: false,
  },
  { name: 'a wrong field', fields: { temperature: 9 }, statusCode: 400, isRetryable: false },
  {
    name: 'a request beyond the limit of a day',
    fields: { model: aiModel('day'), maxOutputTokens: 29 },
    statusCode: 400,
    isRetryable: false,
  },
];

for (const { name, fields, ...wanted } of WRONG) {
  test(`${name} is an error of the call`, async () => {
    const error = await failsWith(generateText({ ...LEAST, ...fields }), APICallError, wanted);
    const told = JSON.parse(error.responseBody).error;
    assert.equal(error.message, told.message);
    assert.match(error.responseHeaders['x-request-id'], /^req-/);
  });
}

test('tokens too many are an error that the SDK would repeat', async () => {
  const fields = { ...LEAST, model: aiModel('day', 'completionModel'), prompt: CAPITAL, maxOutputTokens: 10 };
  await generateText(fields);
  const error = await failsWith(generateText(fields), APICallError, { statusCode: 429, isRetryable: true });
  const seconds = Number(error.responseHeaders['retry-after']);
  assert.ok(seconds >= 1 && seconds <= 86_400, String(seconds));
});

test('an abort ends the request on the server', async () => {
  const disconnects = () => sample('realm_client_disconnects_total', { tenant: 'free' });
  const before = await disconnects();
  const stop = new AbortController();
  const providerOptions = { realm: { logit_bias: { 2: -100 } } };
  const stream = streamText({ ...LEAST, providerOptions, maxOutputTokens: 900, abortSignal: stop.signal });
  const parts = [];
  for await (const part of stream.fullStream) {
    parts.push(part.type);
    if (part.type === 'text-delta') stop.abort();
  }
  assert.equal(parts.at(-1), 'abort');
  await until(async () => (await disconnects()) > before);
});
