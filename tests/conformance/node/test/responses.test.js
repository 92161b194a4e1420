/** Responses: text in, text out. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BadRequestError, NotFoundError } from 'openai';

import { collect, MODEL, official } from '../support/asking.js';
import { failsWith } from '../support/judging.js';

const client = official();
const LEAST = { model: MODEL, input: 'Name the capital of France.', max_output_tokens: 40, temperature: 0 };
const CITY = { enum: ['Paris', 'Rome'] };

function adds({ input_tokens: input, output_tokens: output, total_tokens: total }) {
  assert.ok(input > 0 && output > 0);
  assert.equal(total, input + output);
}

/** Requests, and what their response is. */
const WHOLE = [
  { name: 'a text', fields: {}, status: 'completed', holds: (text) => text.includes('Paris') },
  {
    name: 'instructions and messages',
    fields: { instructions: 'You answer in one word.', input: [{ role: 'user', content: LEAST.input }] },
    status: 'completed',
    holds: (text) => text.includes('Paris'),
  },
  { name: 'a short one', fields: { max_output_tokens: 2 }, status: 'incomplete', holds: Boolean },
  {
    name: 'a text of a form',
    fields: { text: { format: { type: 'json_schema', name: 'city', schema: CITY } } },
    status: 'completed',
    holds: (text) => CITY.enum.includes(JSON.parse(text)),
  },
];

for (const { name, fields, status, holds } of WHOLE) {
  test(`${name}, whole`, async () => {
    const response = await client.responses.create({ ...LEAST, ...fields, metadata: { a: 'b' } });
    assert.equal(response.object, 'response');
    assert.equal(response.status, status);
    assert.equal(response.incomplete_details?.reason, status === 'incomplete' ? 'max_output_tokens' : undefined);
    assert.deepEqual(response.metadata, { a: 'b' });
    assert.ok(holds(response.output_text), response.output_text);
    adds(response.usage);
  });

  test(`${name}, streamed`, async () => {
    const events = await collect(await client.responses.create({ ...LEAST, ...fields, stream: true }));
    assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, index) => index));
    assert.deepEqual([events[0].type, events.at(-1).type], ['response.created', `response.${status}`]);
    const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
    const text = deltas.map(({ delta }) => delta).join('');
    assert.ok(holds(text), text);
    assert.equal(events.find(({ type }) => type === 'response.output_text.done').text, text);
    assert.equal(events.at(-1).response.output[0].content[0].text, text);
    adds(events.at(-1).response.usage);
  });
}

test('the client gathers a streamed response itself', async () => {
  const response = await client.responses.stream(LEAST).finalResponse();
  assert.equal(response.output_text, (await client.responses.create(LEAST)).output_text);
});

test('an answer goes back as a part of the next input', async () => {
  const first = await client.responses.create({ ...LEAST, max_output_tokens: 8 });
  const input = [{ role: 'user', content: LEAST.input }, ...first.output, { role: 'user', content: 'And of Italy?' }];
  const second = await client.responses.create({ ...LEAST, input, max_output_tokens: 8 });
  assert.ok(second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens);
});

/** Fields that get a 400 which names the parameter. */
const REFUSED = [
  { fields: { previous_response_id: 'resp_1' }, param: 'previous_response_id' },
  { fields: { tools: [{ type: 'web_search' }] }, param: 'tools' },
  { fields: { background: true }, param: 'background' },
  { fields: { temperature: 3 }, param: 'temperature' },
  { fields: { max_tokens: 5 }, param: 'max_tokens' },
  { fields: { input: [] }, param: 'input' },
];

for (const { fields, param } of REFUSED) {
  test(`refuses ${JSON.stringify(fields)}`, async () => {
    await failsWith(client.responses.create({ ...LEAST, ...fields }), BadRequestError, { status: 400, param });
  });
}

test('does not know another model', async () => {
  const response = client.responses.create({ ...LEAST, model: 'gpt-9' });
  await failsWith(response, NotFoundError, { status: 404, code: 'model_not_found', param: 'model' });
});
