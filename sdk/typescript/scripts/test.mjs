// Compiles the tests and the programs of README.md against dist/, then runs the tests.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const PROGRAM = /^```ts\n([^]*?)^```$/gm;

rmSync('build', { recursive: true, force: true });
mkdirSync('build/readme', { recursive: true });
const programs = [...readFileSync('README.md', 'utf8').matchAll(PROGRAM)];
programs.forEach(([, program], index) => {
  // `export {}` makes a module of a program that imports nothing.
  writeFileSync(`build/readme/program-${index + 1}.ts`, `${program}export {};\n`);
});

const run = (...args) => execFileSync(process.execPath, args, { stdio: 'inherit' });
for (const project of ['test/tsconfig.json', 'test/tsconfig.readme.json']) {
  run('node_modules/typescript/bin/tsc', '-p', project);
}
const tests = process.argv.slice(2);
run('--test', ...(tests.length > 0 ? tests : ['build/']));
