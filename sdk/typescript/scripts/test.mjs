// Compiles the tests and the programs of README.md against dist/, then runs the tests,
// or those whose names begin with an argument.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** For the slowest test, in milliseconds. */
const TIMEOUT = '--test-timeout=240000';
const PROGRAM = /^```ts\n([^]*?)^```$/gm;

rmSync('build', { recursive: true, force: true });
mkdirSync('build/readme', { recursive: true });
const programs = [...readFileSync('README.md', 'utf8').matchAll(PROGRAM)];
programs.forEach(([, program], index) => {
  // `export {}` makes a module of a program that imports nothing.
  writeFileSync(`build/readme/program-${index + 1}.ts`, `${program}export {};\n`);
});

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

for (const project of ['test/tsconfig.json', 'test/tsconfig.readme.json']) {
  run('node_modules/typescript/bin/tsc', '-p', project);
}
const chosen = process.argv.slice(2);
const all = readdirSync('build').filter((file) => file.endsWith('.test.js'));
const tests = all.filter((file) => chosen.length === 0 || chosen.some((name) => file.startsWith(name)));
run('--test', '--test-reporter=spec', TIMEOUT, ...tests.map((file) => `build/${file}`));
