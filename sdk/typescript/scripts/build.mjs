// Makes dist/: the library as ES modules and as CommonJS, each with its types. Nothing is bundled.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';

const TSC = 'node_modules/typescript/bin/tsc';

rmSync('dist', { recursive: true, force: true });
for (const project of ['tsconfig.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, [TSC, '-p', project], { stdio: 'inherit' });
}
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n');
// The package carries the licence of the repository that it comes from.
copyFileSync('../../LICENSE', 'LICENSE');
