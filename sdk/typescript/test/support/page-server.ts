/** Serves the built library to a browser, from another origin than the model server, as a user's page would be. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';

const LIBRARY = resolve('dist');
/** No `eval`, nothing from elsewhere; connections are what the library is for. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src *";

export class PageServer implements AsyncDisposable {
  readonly #server: Server = createServer((request, response) => void answer(request.url ?? '/', response));

  /** Serves on a free port. */
  static async start(): Promise<PageServer> {
    const page = new PageServer();
    page.#server.listen(0, '127.0.0.1');
    await once(page.#server, 'listening');
    return page;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

async function answer(path: string, response: ServerResponse): Promise<void> {
  if (/^\/esm\/[\w/-]+\.js$/.test(path)) {
    const script = await readFile(join(LIBRARY, path));
    response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
  } else if (path === '/') {
    const headers = { 'content-type': 'text/html', 'content-security-policy': POLICY };
    response.writeHead(200, headers).end('<!doctype html><title>Realm</title>');
  } else {
    response.writeHead(404).end();
  }
}
