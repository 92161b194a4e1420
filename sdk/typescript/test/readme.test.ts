/** The programs of README.md, verbatim: scripts/test.mjs has compiled them; here they run against the real server. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { KEYS, RealmServer } from './support/realm-server.js';

const FOLDER = 'build/readme';
/** What each program prints, among other things, in the order of README.md. */
const PRINTED: readonly RegExp[] = [/^[^]+\n[^]+$/, /Paris.* \d+\n[^]+ \d+\n$/, /\n$/, /^invalid_api_key req-/, /^smollm2\n1\n$/];

let server: RealmServer | undefined;

before(async () => {
  server = await RealmServer.start();
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
});

test('every program of README.md was compiled', () => {
  const compiled = readdirSync(FOLDER).filter((file) => file.endsWith('.js'));
  assert.equal(compiled.length, PRINTED.length);
});

for (const [index, printed] of PRINTED.entries()) {
  test(`program ${index + 1} of README.md runs`, async () => {
    const env = { ...process.env, REALM_BASE_URL: server?.url, REALM_API_KEY: KEYS.main };
    const program = `${FOLDER}/program-${index + 1}.js`;
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env });
    assert.match(stdout, printed);
  });
}
