/** Requests over HTTP: headers, tries, errors. Knows no endpoint. */

import { ConnectionError, ProtocolError, RealmError, TimeoutError } from '../errors.js';
import {
  parseRetries,
  parseTimeout,
  type RequestOptions,
  type Settings,
} from '../settings.js';
import { EventSource } from '../sse/event-source.js';
import { errorOfAnswer } from '../wire/error-body.js';
import { parseJson, Reader } from '../wire/json.js';
import { MAX_ANSWER_BYTES, MAX_ERROR_BYTES, readText } from './body.js';
import { Deadline } from '../deadline.js';
import { newRequestId, REQUEST_ID } from './request-id.js';
import { waitBefore } from './retry.js';
import { parseRetryAfter } from './retry-after.js';

/** What is asked for. */
export interface Call {
  /** Below the server's root, such as `/v1/completions`. */
  readonly path: string;
  /** Sent with POST; without a body it is a GET. */
  readonly body?: Readonly<Record<string, unknown>>;
}

/** An answer that has begun. */
interface Begun {
  readonly response: Response;
  readonly requestId: string;
  readonly deadline: Deadline;
}

/** How undici names what its own clocks ended. */
const UNDICI_TIMEOUTS: ReadonlySet<unknown> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
]);

export class Transport {
  readonly #settings: Settings;
  /** What the server answered when it was asked for a model. */
  #model: string | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.#model = settings.model;
  }

  /** A call whose answer is one document. */
  async json(call: Call, options: RequestOptions = {}): Promise<Reader> {
    const deadline = this.#deadline(options);
    try {
      return await this.#tries(await this.#withModel(call, options, deadline), options, deadline, document);
    } finally {
      deadline.stop();
    }
  }

  /** A call whose answer is a stream of events. The tries end when the stream begins. */
  async events(call: Call, options: RequestOptions = {}): Promise<EventSource> {
    const deadline = this.#deadline(options);
    try {
      return await this.#tries(await this.#withModel(call, options, deadline), options, deadline, stream);
    } catch (error) {
      deadline.cancel();
      throw error;
    }
  }

  #deadline(options: RequestOptions): Deadline {
    return new Deadline(parseTimeout(options.timeout ?? this.#settings.timeout), options.signal);
  }

  /** Names the model in a body that has none: the client's, else the first that the server lists. Asked once. */
  async #withModel(call: Call, options: RequestOptions, deadline: Deadline): Promise<Call> {
    if (call.body === undefined || 'model' in call.body) return call;
    this.#model ??= await this.#tries({ path: '/v1/models' }, options, deadline, async (begun) => {
      const [first] = (await document(begun)).at('data').list((model) => model.at('id').string());
      return first ?? noModel(begun.requestId);
    });
    return { ...call, body: { model: this.#model, ...call.body } };
  }

  async #tries<T>(
    call: Call,
    options: RequestOptions,
    deadline: Deadline,
    take: (begun: Begun) => Promise<T>,
  ): Promise<T> {
    const retries = parseRetries(options.maxRetries ?? this.#settings.maxRetries);
    for (let retry = 0; ; retry++) {
      const requestId = newRequestId();
      try {
        return await take(await this.#try(call, options, deadline, requestId));
      } catch (error) {
        const wait = retry < retries ? waitBefore(retry, error, Math.random()) : undefined;
        if (wait === undefined || wait >= deadline.left) throw error;
        await deadline.sleep(wait, (error as RealmError).requestId ?? requestId);
      }
    }
  }

  async #try(call: Call, options: RequestOptions, deadline: Deadline, ownId: string): Promise<Begun> {
    const headers = this.#headers(call, options, ownId);
    const sentId = headers.get(REQUEST_ID) ?? ownId;
    const init: RequestInit = {
      method: call.body === undefined ? 'GET' : 'POST',
      headers,
      signal: deadline.signal,
    };
    if (call.body !== undefined) init.body = JSON.stringify(call.body);
    const response = await this.#settings
      .fetch(this.#settings.root + call.path, init)
      .catch((cause: unknown) => broken(cause, deadline, sentId));
    const requestId = response.headers.get(REQUEST_ID) ?? sentId;
    const begun = { response, requestId, deadline };
    return response.ok ? begun : refused(begun);
  }

  #headers(call: Call, options: RequestOptions, requestId: string): Headers {
    const { apiKey, headers: ofClient } = this.#settings;
    const headers = new Headers({ accept: 'application/json', [REQUEST_ID]: requestId });
    if (call.body !== undefined) headers.set('content-type', 'application/json');
    if (apiKey !== undefined) headers.set('authorization', `Bearer ${apiKey}`);
    const given = [...Object.entries(ofClient), ...Object.entries(options.headers ?? {})];
    for (const [name, value] of given) headers.set(name, value);
    return headers;
  }
}

async function document(begun: Begun): Promise<Reader> {
  const { requestId, response, deadline } = begun;
  const text = await readText(response, MAX_ANSWER_BYTES, requestId).catch((cause: unknown) =>
    broken(cause, deadline, requestId),
  );
  return new Reader(parseJson(text, requestId), requestId);
}

async function stream({ response, requestId, deadline }: Begun): Promise<EventSource> {
  const type = response.headers.get('content-type') ?? 'nothing';
  if (response.body === null || !type.startsWith('text/event-stream')) {
    throw new ProtocolError(`the answer is ${type} instead of a stream of events`, requestId);
  }
  return new EventSource(response.body, deadline, requestId);
}

async function refused({ response, requestId, deadline }: Begun): Promise<never> {
  const text = await readText(response, MAX_ERROR_BYTES, requestId).catch((cause: unknown) => {
    const fault = deadline.fault(requestId);
    if (fault !== undefined) throw fault;
    // The status is known; what else was to be said is lost.
    return String(cause);
  });
  const retryAfter = parseRetryAfter(response.headers.get('retry-after'), Date.now());
  throw errorOfAnswer(response.status, text, requestId, retryAfter);
}

/** The error of a request that ended without an answer. */
function broken(cause: unknown, deadline: Deadline, requestId: string): never {
  if (cause instanceof RealmError) throw cause;
  const fault = deadline.fault(requestId);
  if (fault !== undefined) throw fault;
  const inner = (cause as { cause?: { code?: unknown } } | undefined)?.cause;
  if (UNDICI_TIMEOUTS.has(inner?.code)) {
    throw new TimeoutError('the runtime waited no longer for the answer', requestId, cause);
  }
  throw new ConnectionError(`no answer: ${reasonOf(cause)}`, requestId, cause);
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause instanceof Error ? ` (${cause.cause.message})` : '';
  return cause.message + inner;
}

function noModel(requestId: string): never {
  throw new ProtocolError('the server lists no model; name one in the request', requestId);
}
