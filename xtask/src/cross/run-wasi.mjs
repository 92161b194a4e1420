// Runs a WASI program under Node: `node run-wasi.mjs program.wasm arguments...`. It sees the whole file system and environment.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

// WASI's error number of what it does not support.
const ENOTSUP = 58;

const [file, ...args] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [file, ...args], env: process.env, preopens: { '/': '/' } });
// The C library has no threads: starting one fails, setting one up does nothing.
const threads = {
  pthread_attr_init: () => 0,
  pthread_attr_setstacksize: () => 0,
  pthread_attr_destroy: () => 0,
  pthread_create: () => ENOTSUP,
  pthread_join: () => ENOTSUP,
  pthread_detach: () => ENOTSUP,
};
const module = await WebAssembly.compile(readFileSync(file));
const instance = await WebAssembly.instantiate(module, { ...wasi.getImportObject(), env: threads });
process.exitCode = wasi.start(instance);
