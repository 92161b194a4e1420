/** A small real HTTP server that answers as a test tells it, and remembers what it was asked. */

import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that came. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Record<string, unknown> | undefined;
  /** Resolves when the connection of the request is closed before its answer has ended. */
  readonly gone: Promise<void>;
}

/** Answers a request. */
export type Answer = (response: ServerResponse, request: Received) => void;

export class ScriptedServer implements AsyncDisposable {
  readonly requests: Received[] = [];
  readonly #server: Server;
  readonly #answers: Answer[];
  readonly #came = new EventEmitter();

  private constructor(answers: Answer[]) {
    this.#answers = answers;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Serves on a free port. Each request gets the next answer; the last answer is given again and again. */
  static async start(...answers: Answer[]): Promise<ScriptedServer> {
    const server = new ScriptedServer(answers);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The first request, once it is there. */
  async first(): Promise<Received> {
    if (this.requests.length === 0) await once(this.#came, 'request');
    return this.requests[0] as Received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      response.once('close', () => !response.writableFinished && resolve());
    });
    const text = await readAll(request);
    const body = text === '' ? undefined : (JSON.parse(text) as Record<string, unknown>);
    const { method = '', url: path = '', headers } = request;
    const received = { method, path, headers, body, gone };
    this.requests.push(received);
    this.#came.emit('request');
    const answer = this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0];
    answer?.(response, received);
  }
}

async function readAll(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += chunk as string;
  return text;
}

/** A JSON document. */
export function json(document: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(document));
  };
}

/** An error as Realm writes it. */
export function failure(
  status: number,
  error: Record<string, unknown>,
  headers: Record<string, string> = {},
): Answer {
  return json({ error: { message: 'told so', type: 'server_error', param: null, ...error } }, status, headers);
}

/** Events, then the end; without `[DONE]` unless it is among them. */
export function events(...data: string[]): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(data.map((entry) => `data: ${entry}\n\n`).join(''));
  };
}

/** Events, after which nothing comes and nothing ends. */
export function openEvents(...data: string[]): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(data.map((entry) => `data: ${entry}\n\n`).join(''));
  };
}

/** Never answers. */
export const silence: Answer = () => undefined;

/** Breaks the connection. */
export const hangUp: Answer = (response) => void response.destroy();
