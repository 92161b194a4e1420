/** What a field does to the answer, whole and streamed. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CHAT, ENDPOINTS, official, TEXT, YES } from '../support/asking.js';
import { endsAsItMay, usageAddsUp } from '../support/judging.js';

const client = official();
const COLOUR = { enum: ['red', 'green', 'blue'] };
const PERSON = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 12 }, age: { type: 'integer', minimum: 0, maximum: 120 } },
  required: ['name', 'age'],
  additionalProperties: false,
};
const MANY_BYTES = '🙂 Grüße, 世界 🙃';

function formOf(schema, strict) {
  return { type: 'json_schema', json_schema: { name: 'answer', schema, strict } };
}

function isPerson(text) {
  const { name, age, ...others } = JSON.parse(text);
  const fits = typeof name === 'string' && Number.isInteger(age) && age >= 0 && age <= 120;
  return fits && Object.keys(others).length === 0;
}

/**
 * `fields`, and what the answer is then: `holds` of the text of each choice, the `reason` it ended for, its `tokens`.
 * @type {{name: string, fields: object, holds: (text: string) => boolean, reason?: string, tokens?: number,
 *   choices?: number, only?: string}[]}
 */
const EFFECTS = [
  { name: 'the least request', fields: {}, holds: (text) => text.includes('Paris') },
  { name: 'max_tokens', fields: { max_tokens: 3 }, holds: Boolean, reason: 'length', tokens: 3 },
  {
    name: 'max_completion_tokens',
    fields: { max_tokens: undefined, max_completion_tokens: 2 },
    holds: Boolean,
    reason: 'length',
    tokens: 2,
    only: 'chat',
  },
  { name: 'n', fields: { n: 3, max_tokens: 2 }, holds: Boolean, reason: 'length', tokens: 6, choices: 3 },
  { name: 'stop', fields: { stop: 'Paris' }, holds: (text) => !text.includes('Paris'), reason: 'stop' },
  { name: 'stops', fields: { stop: ['never', 'aris'] }, holds: (text) => text.endsWith('P'), reason: 'stop' },
  {
    name: 'logit_bias',
    fields: { logit_bias: { [YES]: 100 }, max_tokens: 3 },
    holds: (text) => text === ' yes yes yes',
    reason: 'length',
  },
  { name: 'top_p', fields: { temperature: 2, top_p: 1e-6, seed: 5 }, holds: (text) => text.includes('Paris') },
  {
    name: 'json_schema of an object',
    fields: { response_format: formOf(PERSON, true), max_tokens: 120 },
    holds: isPerson,
    reason: 'stop',
    only: 'chat',
  },
  {
    name: 'json_schema of an enumeration',
    fields: { response_format: formOf(COLOUR), max_tokens: 20 },
    holds: (text) => COLOUR.enum.includes(JSON.parse(text)),
    reason: 'stop',
  },
  {
    name: 'json_object',
    fields: { response_format: { type: 'json_object' }, max_tokens: 200 },
    holds: (text) => /^\s*\{/.test(text) && JSON.parse(text) !== null,
    reason: 'stop',
    only: 'chat',
  },
  {
    name: 'characters of many bytes',
    fields: { structured_outputs: { choice: [MANY_BYTES] }, max_tokens: 60 },
    holds: (text) => text === MANY_BYTES,
    reason: 'stop',
  },
  {
    name: 'a prompt of tokens',
    fields: { prompt: [504, 3575, 282, 4649, 314] },
    holds: (text) => text.includes('Paris'),
    only: 'completions',
  },
  {
    name: 'two prompts, two choices each',
    fields: { prompt: ['One, two,', 'A, B,'], n: 2, max_tokens: 2 },
    holds: Boolean,
    reason: 'length',
    tokens: 8,
    choices: 4,
    only: 'completions',
  },
  {
    name: 'a conversation',
    fields: {
      messages: [
        { role: 'developer', content: 'You answer in one word.' },
        { role: 'user', content: [{ type: 'text', text: 'Name the capital of Italy.' }] },
        { role: 'assistant', content: 'Rome.' },
        { role: 'user', content: 'Name the capital of France.' },
      ],
    },
    holds: (text) => text.includes('Paris'),
    only: 'chat',
  },
];

function judge({ holds, reason, tokens, choices = 1 }, texts, reasons, usage) {
  assert.equal(texts.length, choices);
  for (const text of texts) assert.ok(holds(text), text);
  assert.equal(reasons.length, choices);
  for (const found of reasons) endsAsItMay(found, reason);
  if (tokens !== undefined) assert.equal(usage.completion_tokens, tokens);
  usageAddsUp(usage);
}

for (const endpoint of ENDPOINTS) {
  const effects = EFFECTS.filter(({ only = endpoint.name }) => only === endpoint.name);
  describe(endpoint.name, () => {
    for (const effect of effects) {
      test(`${effect.name}, whole`, async () => {
        const answer = await endpoint.create(client, effect.fields);
        assert.deepEqual(
          answer.choices.map(({ index }) => index),
          answer.choices.map((_, index) => index),
        );
        const reasons = answer.choices.map((choice) => choice.finish_reason);
        judge(effect, endpoint.texts(answer), reasons, answer.usage);
      });

      test(`${effect.name}, streamed`, async () => {
        const chunks = await endpoint.stream(client, { ...effect.fields, stream_options: { include_usage: true } });
        const texts = Array.from({ length: effect.choices ?? 1 }, (_, index) => endpoint.streamedText(chunks, index));
        const reasons = chunks.flatMap(({ choices }) => choices.map((choice) => choice.finish_reason)).filter(Boolean);
        assert.deepEqual(chunks.at(-1).choices, []);
        assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
        judge(effect, texts, reasons, chunks.at(-1).usage);
      });
    }

    test('a stream says what the whole answer says', async () => {
      const chunks = await endpoint.stream(client);
      assert.ok(chunks.length >= 5);
      assert.ok(chunks.every((chunk) => !('usage' in chunk)));
      assert.equal(endpoint.streamedText(chunks), endpoint.texts(await endpoint.create(client))[0]);
    });

    test('a seed gives the same answers again', async () => {
      const ask = async (seed) => {
        const fields = { temperature: 1.5, seed, n: 2, max_tokens: 12 };
        return endpoint.texts(await endpoint.create(client, fields));
      };
      const first = await ask(7);
      assert.deepEqual(await ask(7), first);
      assert.notEqual(first[0], first[1]);
      assert.notDeepEqual(await ask(8), first);
    });
  });
}

test('the client gathers a streamed chat itself', async () => {
  const runner = client.chat.completions.stream({ ...CHAT.least, stream_options: { include_usage: true } });
  const pieces = [];
  runner.on('content', (piece) => pieces.push(piece));
  const gathered = await runner.finalChatCompletion();
  assert.equal(pieces.join(''), gathered.choices[0].message.content);
  assert.equal(gathered.choices[0].message.role, 'assistant');
  usageAddsUp(gathered.usage);
});

test('the client parses an answer of a form', async () => {
  const fields = { ...CHAT.least, response_format: formOf(PERSON, true), max_tokens: 120 };
  const answer = await client.chat.completions.parse(fields);
  assert.equal(typeof answer.choices[0].message.parsed.age, 'number');
});

test('max_tokens 0 with echo gives the prompt', async () => {
  const answer = await TEXT.create(client, { echo: true, max_tokens: 0 });
  assert.equal(answer.choices[0].text, TEXT.least.prompt);
  assert.equal(answer.usage.completion_tokens, 0);
});
