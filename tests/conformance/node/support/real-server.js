/** The real `realm serve`, in clean surroundings. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ADDRESS = /^serving .* at (http:\/\/\S+)$/m;
const MANAGEMENT = /^health and metrics at (http:\/\/\S+)\/health /m;
/** Begins the line that shows how to ask; the model is served then. */
const READY = '  curl ';
/** A server that is not ready by then has failed, in milliseconds. */
const START_LIMIT = 120_000;
/** A server that takes longer to end is killed, in milliseconds. */
const STOP_LIMIT = 20_000;

export class RealServer {
  /** Where it serves. */
  url;
  /** Where it tells its metrics. */
  metricsUrl;
  #child;
  #home;

  constructor(said, child, home) {
    this.url = addressIn(said, ADDRESS);
    this.metricsUrl = `${addressIn(said, MANAGEMENT)}/metrics`;
    this.#child = child;
    this.#home = home;
  }

  /** Serves a manifest with a model's file on free ports, and waits until it is ready. */
  static async start(binary, manifest, model) {
    const home = await mkdtemp(join(tmpdir(), 'realm-conformance-'));
    const ports = ['--port', '0', '--management-port', '0'];
    const options = {
      cwd: home,
      // Keys, caches and settings of this machine stay out.
      env: { HOME: home, REALM_STORE: join(home, 'store'), REALM_DATA: join(home, 'data') },
      stdio: ['ignore', 'ignore', 'pipe'],
    };
    const child = spawn(binary, ['serve', '-f', manifest, '--model-file', model, ...ports], options);
    const failsafe = setTimeout(() => child.kill('SIGKILL'), START_LIMIT);
    try {
      return new RealServer(await saidUntilReady(child), child, home);
    } catch (error) {
      child.kill('SIGKILL');
      await rm(home, { recursive: true, force: true });
      throw error;
    } finally {
      clearTimeout(failsafe);
    }
  }

  /** Ends it, and removes what it wrote. */
  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, 'exit');
      const failsafe = setTimeout(() => this.#child.kill('SIGKILL'), STOP_LIMIT);
      this.#child.kill('SIGTERM');
      await exit;
      clearTimeout(failsafe);
    }
    await rm(this.#home, { recursive: true, force: true });
  }
}

function addressIn(said, pattern) {
  const found = pattern.exec(said)?.[1];
  if (found !== undefined) return found;
  throw new Error(`the server did not say where it serves:\n${said}`);
}

async function saidUntilReady(child) {
  const lines = [];
  for await (const line of createInterface({ input: child.stderr })) {
    lines.push(line);
    if (line.startsWith(READY)) break;
  }
  // What it says later must not fill the pipe.
  child.stderr.resume();
  return lines.join('\n');
}
