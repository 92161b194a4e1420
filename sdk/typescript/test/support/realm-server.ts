/** The real `realm serve` with the real model and the tenants of tests/conformance/server.yaml. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** Keys of the manifest's tenants. */
export const KEYS = {
  main: 'rlm_conformance_main_0001',
  limited: 'rlm_conformance_limited_0001',
} as const;

export const MODEL = 'smollm2';

const MANIFEST = resolve('../../tests/conformance/server.yaml');

export class RealmServer implements AsyncDisposable {
  /** Base URL for clients. */
  readonly url: string;
  readonly #management: string;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(lines: readonly string[], child: ChildProcess, folder: string) {
    this.url = urlIn(lines, /^serving .* at (\S+)$/);
    this.#management = urlIn(lines, /^health and metrics at (\S+)\/health /);
    this.#child = child;
    this.#folder = folder;
  }

  /** Starts on free ports and waits until the model is served. */
  static async start(): Promise<RealmServer> {
    const folder = await mkdtemp(join(tmpdir(), 'realm-sdk-'));
    const ports = ['--port', '0', '--management-port', '0'];
    const args = ['serve', '-f', MANIFEST, '--model-file', variable('REALM_TEST_MODEL'), ...ports];
    const env = { HOME: folder, REALM_STORE: join(folder, 'store'), REALM_DATA: join(folder, 'data') };
    const child = spawn(variable('REALM_BIN'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    return new RealmServer(await linesUntilReady(child), child, folder);
  }

  /** The sum of a metric's series whose labels have all these. */
  async sample(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
    const page = await (await fetch(`${this.#management}/metrics`)).text();
    const series = page.split('\n').filter((line) => line.startsWith(`${name}{`));
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const chosen = series.filter((line) => wanted.every((label) => line.includes(label)));
    return chosen.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function variable(name: string): string {
  const value = process.env[name];
  if (value) return resolve(value);
  throw new Error(`${name} is not set: run the tests with \`cargo xtask sdk\``);
}

function urlIn(lines: readonly string[], pattern: RegExp): string {
  const found = lines.map((line) => pattern.exec(line)?.[1]).find((url) => url !== undefined);
  if (found !== undefined) return found;
  throw new Error(`the server did not say where it serves:\n${lines.join('\n')}`);
}

/** What the server says up to the line that shows how to try it. */
async function linesUntilReady(child: ChildProcess): Promise<string[]> {
  const lines: string[] = [];
  if (child.stderr === null) return lines;
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    if (line.includes('  curl ')) break;
  }
  // What it says later must not fill the pipe.
  child.stderr.resume();
  return lines;
}
