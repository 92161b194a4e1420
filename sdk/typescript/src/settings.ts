/** What a client is made with, parsed once: options win over the environment, that over defaults. */

import { readEnvironment } from './environment.js';
import { RealmError } from './errors.js';

/** Where `realm serve` listens unless told otherwise. */
const DEFAULT_BASE_URL = 'http://127.0.0.1:8080';
/** Time for a request in milliseconds; on a CPU a long answer takes minutes. */
const DEFAULT_TIMEOUT_MS = 300_000;
const DEFAULT_RETRIES = 2;
/** Tries after the first, at most. */
const MAX_RETRIES = 10;

/** Options of a client; all have defaults. */
export interface ClientOptions {
  /** The server, with or without `/v1`; default `REALM_BASE_URL`, else `http://127.0.0.1:8080`. */
  readonly baseURL?: string | undefined;
  /** The tenant's key; default `REALM_API_KEY`, else none is sent, which is enough for models that are open to all. */
  readonly apiKey?: string | undefined;
  /** The model of requests that name none; default is the first that the server lists. */
  readonly model?: string | undefined;
  /** Milliseconds for a request with all its tries, and for the silence between two pieces of a stream; 300,000. */
  readonly timeout?: number | undefined;
  /** Tries after the first, 0 to 10; 2. */
  readonly maxRetries?: number | undefined;
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof fetch | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Options of one request. */
export interface RequestOptions {
  /** Ends the request; the promise or loop then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timeout?: number | undefined;
  readonly maxRetries?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Options that are known to be right. */
export interface Settings {
  /** The server without `/v1` and without a slash at the end. */
  readonly root: string;
  readonly apiKey: string | undefined;
  readonly model: string | undefined;
  readonly timeout: number;
  readonly maxRetries: number;
  readonly fetch: typeof fetch;
  readonly customFetch: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

/** Parses the options of a client. */
export function parseSettings(options: ClientOptions): Settings {
  return {
    root: parseRoot(options.baseURL ?? readEnvironment('REALM_BASE_URL') ?? DEFAULT_BASE_URL),
    apiKey: options.apiKey ?? readEnvironment('REALM_API_KEY'),
    model: options.model,
    timeout: parseTimeout(options.timeout ?? DEFAULT_TIMEOUT_MS),
    maxRetries: parseRetries(options.maxRetries ?? DEFAULT_RETRIES),
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    customFetch: options.fetch !== undefined,
    headers: options.headers ?? {},
  };
}

/** Milliseconds; `Infinity` waits for ever. */
export function parseTimeout(timeout: number): number {
  if (timeout > 0) return timeout;
  throw new RealmError(`timeout is ${timeout}; it must be a number of milliseconds above 0`);
}

/** Tries after the first. */
export function parseRetries(retries: number): number {
  if (Number.isInteger(retries) && retries >= 0 && retries <= MAX_RETRIES) return retries;
  throw new RealmError(`maxRetries is ${retries}; it must be a whole number from 0 to ${MAX_RETRIES}`);
}

function parseRoot(baseURL: string): string {
  const url = parseUrl(baseURL);
  const path = url.pathname.replace(/\/+$/, '').replace(/\/v1$/, '');
  return url.origin + path;
}

function parseUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new RealmError(`baseURL ${JSON.stringify(text)} is no URL`, undefined, cause);
  }
  if (!/^https?:$/.test(url.protocol) || url.username + url.password + url.search + url.hash !== '') {
    throw new RealmError('baseURL must be http or https, without user, query and fragment');
  }
  return url;
}
