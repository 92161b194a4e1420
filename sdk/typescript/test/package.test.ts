/** The package as users get it: packed, installed in a clean project, imported in every way, and small. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { build } from 'esbuild';

/** The library minified in one file, in bytes, at most. */
const MAX_MINIFIED_BYTES = 50_000;
/** What a clean machine has: `npm` reads no settings of this folder. */
const NPM = ['--no-audit', '--no-fund', '--ignore-scripts'];
const TSC = resolve('node_modules/typescript/bin/tsc');
const SDK = resolve('.');

const run = promisify(execFile);
let project: string;
let packed: readonly string[];

before(async () => {
  project = await mkdtemp(join(tmpdir(), 'realm-package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], { cwd: SDK });
  const [pack] = Object.values(JSON.parse(stdout) as Record<string, { filename: string; files: { path: string }[] }>);
  assert.ok(pack);
  packed = pack.files.map(({ path }) => path);
  await file('package.json', '{ "name": "clean", "private": true }');
  await run('npm', ['install', ...NPM, join(project, pack.filename)], { cwd: project });
});

after(async () => {
  await rm(project, { recursive: true, force: true });
});

async function file(name: string, content: string): Promise<void> {
  await writeFile(join(project, name), content);
}

test('it holds the library, its types, a README and the licence, and nothing else', () => {
  for (const needed of ['LICENSE', 'README.md', 'package.json', 'dist/esm/index.js', 'dist/cjs/index.d.ts']) {
    assert.ok(packed.includes(needed), needed);
  }
  const other = packed.filter((path) => !/^(LICENSE|README\.md|package\.json|dist\/(esm|cjs)\/.*(\.js|\.d\.ts|package\.json))$/.test(path));
  assert.deepEqual(other, []);
});

test('it brings no other package', async () => {
  const installed = JSON.parse(await readFile(join(project, 'node_modules/.package-lock.json'), 'utf8')) as { packages: object };
  assert.deepEqual(Object.keys(installed.packages), ['node_modules/@querent/realm']);
});

const PRINT = "console.log(typeof sdk.Realm, new sdk.Realm({ baseURL: 'http://h' }).openaiOptions().baseURL);";
const PROGRAMS: readonly (readonly [name: string, text: string])[] = [
  ['import.mjs', `import * as sdk from '@querent/realm'; ${PRINT}`],
  ['require.cjs', `const sdk = require('@querent/realm'); ${PRINT}`],
  ['dynamic.cjs', `import('@querent/realm').then((sdk) => { ${PRINT} });`],
];

for (const [name, text] of PROGRAMS) {
  test(`${name} runs`, async () => {
    await file(name, text);
    const { stdout } = await run(process.execPath, [name], { cwd: project });
    assert.equal(stdout, 'function http://h/v1\n');
  });
}

test('the official client is asked for only when it is wanted', async () => {
  const text = "import { Realm } from '@querent/realm'; await new Realm().openai().catch((e) => console.log(e.name, e.message));";
  await file('openai.mjs', text);
  const { stdout } = await run(process.execPath, ['openai.mjs'], { cwd: project });
  assert.equal(stdout, 'RealmError the package `openai` cannot be loaded; `npm install openai`\n');
});

const TYPED = `
import { type Completion, RateLimitError, Realm } from '@querent/realm';
export async function ask(): Promise<string> {
  const realm = new Realm({ apiKey: 'k' });
  const completion: Completion = await realm.completions.create({ prompt: 'p', maxTokens: 1 });
  for await (const token of await realm.completions.stream({ prompt: 'p' })) completion.text + token.text;
  // @ts-expect-error: wire names are not taken
  await realm.completions.create({ prompt: 'p', max_tokens: 1 });
  // @ts-expect-error: a prompt is needed
  await realm.completions.create({ maxTokens: 1 });
  const error: unknown = completion;
  return error instanceof RateLimitError ? String(error.limit) : completion.text;
}
`;
const RESOLUTIONS: readonly (readonly [file: string, module: string, resolution: string])[] = [
  ['node.mts', 'NodeNext', 'NodeNext'],
  ['node.cts', 'NodeNext', 'NodeNext'],
  ['bundler.ts', 'ESNext', 'Bundler'],
];

for (const [name, module, moduleResolution] of RESOLUTIONS) {
  test(`${name} is checked strictly, the types of the library included`, async () => {
    await file(name, TYPED);
    const lib = ['ES2022', 'DOM'];
    const compilerOptions = { target: 'ES2022', lib, module, moduleResolution, strict: true, noEmit: true, types: [], skipLibCheck: false };
    await file('tsconfig.json', JSON.stringify({ compilerOptions, files: [name] }));
    await run(process.execPath, [TSC, '-p', 'tsconfig.json'], { cwd: project }).catch((error: { stdout?: string }) => {
      assert.fail(error.stdout ?? String(error));
    });
  });
}

test('it is small, and bundles without the official client', async () => {
  const entry = "export * from '@querent/realm'";
  const result = await build({
    stdin: { contents: entry, resolveDir: project },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    logLevel: 'silent',
  });
  const bytes = result.outputFiles[0]?.contents.length ?? 0;
  assert.ok(bytes > 5_000 && bytes < MAX_MINIFIED_BYTES, `${bytes} bytes`);
  console.log(`minified: ${bytes} bytes`);
});
