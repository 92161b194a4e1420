/** Probabilities, in each endpoint's own shape. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CHAT, official, TEXT } from '../support/asking.js';

const client = official();
/** Rows that are computed together with others differ in the last digits. */
const TOLERANCE = 1e-3;

function near(found, wanted) {
  assert.equal(found.length, wanted.length);
  found.forEach((value, index) => assert.ok(Math.abs(value - wanted[index]) < TOLERANCE, `${value} ${wanted[index]}`));
}

for (const top of [0, 3, 20]) {
  test(`of a chat, with the ${top} likeliest`, async () => {
    const fields = { logprobs: true, top_logprobs: top, max_tokens: 4 };
    const answer = await CHAT.create(client, fields);
    const entries = answer.choices[0].logprobs.content;
    assert.equal(entries.length, 4);
    assert.equal(entries.map(({ token }) => token).join(''), CHAT.texts(answer)[0]);
    for (const { token, bytes, logprob, top_logprobs: likely } of entries) {
      assert.equal(Buffer.from(bytes).toString(), token);
      assert.ok(logprob <= 0);
      assert.equal(likely.length, top);
      // Greedy: the chosen token is the likeliest.
      assert.ok(top === 0 || likely[0].token === token);
      assert.ok(likely.every((other, index) => index === 0 || other.logprob <= likely[index - 1].logprob));
    }
    const chunks = await CHAT.stream(client, fields);
    const streamed = chunks.flatMap(({ choices }) => choices.flatMap(({ logprobs }) => logprobs?.content ?? []));
    near(
      streamed.map(({ logprob }) => logprob),
      entries.map(({ logprob }) => logprob),
    );
  });
}

for (const top of [0, 1, 5]) {
  test(`of a completion, with the ${top} likeliest`, async () => {
    const fields = { logprobs: top, max_tokens: 4 };
    const answer = await TEXT.create(client, fields);
    const [{ text, logprobs }] = answer.choices;
    assert.equal(logprobs.tokens.join(''), text);
    assert.equal(logprobs.token_logprobs.length, 4);
    logprobs.tokens.forEach((token, index) => {
      assert.ok(text.slice(logprobs.text_offset[index]).startsWith(token));
      assert.equal(logprobs.top_logprobs[index][token], logprobs.token_logprobs[index]);
    });
    const chunks = await TEXT.stream(client, fields);
    const pieces = chunks.flatMap(({ choices }) => choices.flatMap((choice) => choice.logprobs ?? []));
    assert.deepEqual(pieces.flatMap(({ tokens }) => tokens), logprobs.tokens);
    near(pieces.flatMap((piece) => piece.token_logprobs), logprobs.token_logprobs);
  });
}

test('of a prompt that is scored', async () => {
  const answer = await TEXT.create(client, { echo: true, logprobs: 1, max_tokens: 0 });
  const { tokens, token_logprobs: logprobs } = answer.choices[0].logprobs;
  assert.equal(tokens.join(''), TEXT.least.prompt);
  assert.equal(logprobs[0], null);
  assert.ok(logprobs.slice(1).every((value) => value <= 0));
});

test('none unless asked for', async () => {
  assert.equal((await CHAT.create(client)).choices[0].logprobs ?? null, null);
  assert.equal((await TEXT.create(client)).choices[0].logprobs ?? null, null);
});
