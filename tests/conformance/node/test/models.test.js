/** The models that a tenant may use. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { NotFoundError } from 'openai';

import { collect, MODEL, official } from '../support/asking.js';
import { failsWith } from '../support/judging.js';

const client = official();
const ALIAS = 'team/small';

test('are listed', async () => {
  const models = await collect(client.models.list());
  assert.deepEqual(models.map(({ id }) => id), [MODEL, ALIAS]);
  assert.ok(models.every(({ object, owned_by: owner }) => object === 'model' && owner === 'realm'));
});

for (const name of [MODEL, ALIAS]) {
  test(`${name} is found by its name`, async () => {
    const { id, object, created } = await client.models.retrieve(name);
    assert.deepEqual([id, object], [name, 'model']);
    assert.ok(Number.isInteger(created) && created > 0);
  });
}

test('another one is not found', async () => {
  await failsWith(client.models.retrieve('gpt-9'), NotFoundError, { status: 404, code: 'model_not_found' });
});
