/** What the page asks the server: the models, and answers as they are written. Knows nothing of the document. */

/** Characters of one event, at most. */
const MAX_EVENT_CHARS = 1 << 20;
/** A list of models that takes longer than this has failed. */
const MODELS_TIMEOUT_MS = 15_000;

/** A refusal or failure, in words for the reader. */
export class ChatError extends Error {
  /** @param {string} message @param {number} [status] of the answer, where there was one */
  constructor(message, status) {
    super(message);
    this.name = 'ChatError';
    this.status = status;
  }
}

/** Takes server-sent events apart, wherever the bytes are cut: also within a character or a line end. */
export class EventParser {
  #decoder = new TextDecoder();
  #pending = '';
  #data = [];

  /** The data of the events that `bytes` complete. @param {Uint8Array} bytes @returns {string[]} */
  push(bytes) {
    this.#pending += this.#decoder.decode(bytes, { stream: true });
    if (this.#pending.length > MAX_EVENT_CHARS) throw new ChatError('The server sent an event that is too long.');
    // A carriage return at the end may be the first half of a line end.
    const held = this.#pending.endsWith('\r') ? '\r' : '';
    const lines = this.#pending.slice(0, this.#pending.length - held.length).split(/\r\n|\n|\r/);
    this.#pending = lines.pop() + held;
    return lines.map((line) => this.#line(line)).filter((data) => data !== undefined);
  }

  #line(line) {
    if (line === '') {
      const data = this.#data.splice(0);
      return data.length > 0 ? data.join('\n') : undefined;
    }
    if (line.startsWith('data:')) this.#data.push(line.slice(line[5] === ' ' ? 6 : 5));
    return undefined;
  }
}

/** Names of the models. @param {string} key @returns {Promise<string[]>} */
export async function models(key) {
  const response = await ask('v1/models', key, { signal: AbortSignal.timeout(MODELS_TIMEOUT_MS) });
  const { data } = await response.json();
  return data.map((model) => model.id);
}

/**
 * An answer as it is written: `{ text }`, then `{ finish }`, then `{ tokens }`.
 * @param {{ key: string, model: string, messages: object[], signal: AbortSignal }} asked
 */
export async function* answer({ key, model, messages, signal }) {
  const body = JSON.stringify({ model, messages, stream: true, stream_options: { include_usage: true } });
  const headers = { 'content-type': 'application/json' };
  const response = await ask('v1/chat/completions', key, { method: 'POST', headers, body, signal });
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return;
    yield* parts(JSON.parse(data));
  }
  throw new ChatError('The connection ended before the answer did.');
}

async function* events(body) {
  const parser = new EventParser();
  const reader = body.getReader();
  try {
    for (let read = await next(reader); !read.done; read = await next(reader)) yield* parser.push(read.value);
  } finally {
    // Tells the server that nobody reads on. Of a stream that has failed already this fails as well.
    reader.cancel().catch(() => undefined);
  }
}

async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ChatError('The connection broke before the answer ended.');
  }
}

function* parts({ error, choices = [], usage }) {
  if (error) throw new ChatError(sentence(error.message));
  for (const { delta, finish_reason: finish } of choices) {
    if (delta?.content) yield { text: delta.content };
    if (finish) yield { finish };
  }
  if (usage) yield { tokens: usage.completion_tokens };
}

async function ask(path, key, init) {
  if (/[^\x21-\x7e]/.test(key)) throw new ChatError('The API key holds characters that no key has.', 401);
  const headers = { ...init.headers, ...(key && { authorization: `Bearer ${key}` }) };
  const response = await send(path, { ...init, headers });
  if (response.ok) return response;
  throw new ChatError(await words(response), response.status);
}

async function send(path, init) {
  try {
    return await fetch(path, { ...init, credentials: 'omit', redirect: 'error' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    if (error.name === 'TimeoutError') throw new ChatError('The server does not answer.');
    throw new ChatError('The server cannot be reached.');
  }
}

/** What a refusal says, and when to come back. A proxy in between may answer with something other than JSON. */
async function words(response) {
  const document = await response.json().catch(() => undefined);
  const said = document?.error?.message ?? `The server answered ${response.status} ${response.statusText}`.trimEnd();
  const seconds = Number(response.headers.get('retry-after'));
  const wait = seconds > 0 ? ` Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.` : '';
  return `${sentence(said)}${wait}`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}
