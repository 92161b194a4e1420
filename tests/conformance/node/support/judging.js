/** What every answer has to keep, whoever asks. */

import assert from 'node:assert/strict';

/** Counts that a bill could be written from. */
export function usageAddsUp(usage) {
  assert.ok(usage.prompt_tokens > 0);
  assert.ok(usage.completion_tokens >= 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
}

/** An end for the reason that is wanted, or, when none is, for one that a text may have. */
export function endsAsItMay(reason, wanted) {
  assert.ok(wanted === undefined ? ['stop', 'length'].includes(reason) : reason === wanted, reason);
}

/** The error that a promise is rejected with; of this class and with these members. */
export async function failsWith(promise, kind, members) {
  const error = await promise.then(
    () => assert.fail(`expected ${kind.name}`),
    (reason) => reason,
  );
  assert.ok(error instanceof kind, `expected ${kind.name}, got ${error}`);
  for (const [name, value] of Object.entries(members)) assert.equal(error[name], value, `${name} of ${error}`);
  return error;
}
