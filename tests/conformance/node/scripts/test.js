// Serves the demo model, and the same with a template for tools, and runs the tests against both:
// all, or those of the files whose names begin with an argument.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { RealServer } from '../support/real-server.js';

/** What the Python suite serves serves this one too. */
const PYTHON = resolve(import.meta.dirname, '../../python');
const WRITE_TOOL_MODEL = 'import sys, pathlib, tool_model; tool_model.write(pathlib.Path(sys.argv[1]))';
/** For the slowest test, in milliseconds. */
const TIMEOUT = '--test-timeout=120000';
/** One file at a time: a test that reads the server's metrics is alone with it. */
const ALONE = '--test-concurrency=1';

const binary = variable('REALM_BIN');
const model = variable('REALM_TEST_MODEL');
const folder = mkdtempSync(join(tmpdir(), 'realm-tool-model-'));
const servers = [];
try {
  writeToolModel();
  servers.push(await RealServer.start(binary, join(PYTHON, 'server.yaml'), model));
  servers.push(await RealServer.start(binary, join(folder, 'tools.yaml'), join(folder, 'tools.gguf')));
  process.exitCode = await test(...servers);
} finally {
  await Promise.all(servers.map((server) => server.stop()));
  rmSync(folder, { recursive: true, force: true });
}

function variable(name) {
  const value = process.env[name];
  if (value) return resolve(value);
  throw new Error(`${name} is not set: run the tests with \`cargo xtask sdk\``);
}

function writeToolModel() {
  const env = { ...process.env, REALM_TEST_MODEL: model, PYTHONDONTWRITEBYTECODE: '1' };
  const options = { cwd: PYTHON, env, stdio: 'inherit' };
  const { status, error } = spawnSync('python3', ['-c', WRITE_TOOL_MODEL, folder], options);
  if (status === 0) return;
  throw new Error('cannot write the model with a template for tools (needs Python 3.11)', { cause: error });
}

async function test(server, tools) {
  const chosen = process.argv.slice(2);
  const all = readdirSync('test').filter((file) => file.endsWith('.test.js'));
  const files = all.filter((file) => chosen.length === 0 || chosen.some((name) => file.startsWith(name)));
  const args = ['--test', '--test-reporter=spec', TIMEOUT, ALONE, ...files.map((file) => join('test', file))];
  const urls = { REALM_URL: server.url, REALM_METRICS_URL: server.metricsUrl, REALM_TOOLS_URL: tools.url };
  const env = { ...process.env, ...urls };
  const [status] = await once(spawn(process.execPath, args, { env, stdio: 'inherit' }), 'exit');
  return status ?? 1;
}
