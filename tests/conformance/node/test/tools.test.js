/** Calls of tools, from a model whose template has a place for them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BadRequestError } from 'openai';

import { collect, MODEL, officialWithTools } from '../support/asking.js';
import { failsWith } from '../support/judging.js';
import { isWeather, TOOL_QUESTION, WEATHER } from '../support/tools.js';

const client = officialWithTools();
const TOOLS = [
  { type: 'function', function: { name: 'get_weather', description: 'The weather.', parameters: WEATHER } },
  { type: 'function', function: { name: 'clock', strict: true } },
];
const named = (name) => ({ type: 'function', function: { name } });
// The model would call on and on.
const ONE_CALL = { parallel_tool_calls: false };
const LEAST = { model: MODEL, messages: TOOL_QUESTION, tools: TOOLS, temperature: 0, max_tokens: 300, ...ONE_CALL };

function ask(fields) {
  return client.chat.completions.create({ ...LEAST, ...fields });
}

/** Choices of tools that force a call, and the tools that may be called then. */
const FORCED = [
  { choice: 'required', names: ['get_weather', 'clock'] },
  { choice: named('get_weather'), names: ['get_weather'] },
  { choice: named('clock'), names: ['clock'] },
];

for (const { choice, names } of FORCED) {
  test(`a call that must come: ${names}`, async () => {
    const whole = (await ask({ tool_choice: choice })).choices[0];
    assert.equal(whole.finish_reason, 'tool_calls');
    assert.equal(whole.message.content, null);
    const [call, ...others] = whole.message.tool_calls;
    assert.deepEqual(others, []);
    assert.ok(call.id && call.type === 'function' && names.includes(call.function.name));
    const given = JSON.parse(call.function.arguments);
    assert.ok(call.function.name === 'clock' ? Object.keys(given).length === 0 : isWeather(given));

    const chunks = await collect(await ask({ tool_choice: choice, stream: true }));
    const pieces = chunks.flatMap(({ choices }) => choices[0].delta.tool_calls ?? []);
    assert.ok(pieces[0].id && pieces.every(({ index }) => index === 0));
    assert.equal(pieces[0].function.name, call.function.name);
    assert.equal(pieces.map((piece) => piece.function.arguments ?? '').join(''), call.function.arguments);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');
  });
}

test('the client runs a tool and gives its result back', async () => {
  const given = [];
  const weather = (fields) => {
    given.push(fields);
    return 'It rains.';
  };
  const tools = [{ type: 'function', function: { ...TOOLS[0].function, function: weather, parse: JSON.parse } }];
  const runner = client.chat.completions.runTools({ ...LEAST, tools, tool_choice: named('get_weather') });
  const messages = [];
  runner.on('message', (message) => messages.push(message));
  await runner.done();
  assert.equal(given.length, 1);
  assert.ok(isWeather(given[0]));
  assert.deepEqual(messages.map(({ role }) => role), ['assistant', 'tool']);
});

test('a conversation goes on with the result', async () => {
  const { message } = (await ask({ tool_choice: named('clock') })).choices[0];
  const result = { role: 'tool', tool_call_id: message.tool_calls[0].id, content: 'It is noon.' };
  const answer = await ask({ messages: [...TOOL_QUESTION, message, result], tool_choice: 'none', max_tokens: 8 });
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.choices[0].message.tool_calls ?? null, null);
});

test('a choice of a tool that is not there is refused by name', async () => {
  const wanted = { status: 400, param: 'tool_choice.function.name' };
  await failsWith(ask({ tool_choice: named('other') }), BadRequestError, wanted);
});
