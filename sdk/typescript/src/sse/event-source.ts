/** The events of an answer, from its first byte to `[DONE]`. Whatever else ends it is an error. */

import { Chunks } from '../chunks.js';
import type { Deadline } from '../deadline.js';
import { StreamCutError } from '../errors.js';
import { errorOfEvent } from '../wire/error-body.js';
import { isObject, parseJson, Reader } from '../wire/json.js';
import { EventParser } from './event-parser.js';

/** The data of the last event. */
const DONE = '[DONE]';

export class EventSource {
  readonly requestId: string;
  readonly #chunks: Chunks;
  /** Counts only while somebody waits for a piece: a slow reader is no slow server. */
  readonly #deadline: Deadline;
  #cancelled = false;

  constructor(body: ReadableStream<Uint8Array>, deadline: Deadline, requestId: string) {
    this.requestId = requestId;
    this.#chunks = new Chunks(body);
    this.#deadline = deadline;
    deadline.pause();
    // The body of a `fetch` ends by itself then; that of another may not.
    deadline.signal.addEventListener('abort', () => this.#chunks.cancel(), { once: true });
  }

  /** Ends the request; a loop over the documents then ends as well. */
  cancel(): void {
    this.#cancelled = true;
    this.#deadline.cancel();
  }

  /** The documents of the events. Leaving the loop early ends the request. */
  async *documents(): AsyncGenerator<Reader, void, undefined> {
    let whole = false;
    try {
      for await (const data of this.#data()) {
        whole = data === DONE;
        if (whole) return;
        yield this.#document(data);
      }
    } finally {
      this.#end(whole);
    }
  }

  async *#data(): AsyncGenerator<string, void, undefined> {
    const parser = new EventParser(this.requestId);
    const decoder = new TextDecoder();
    for (;;) {
      const chunk = await this.#next();
      for (const data of parser.push(decoder.decode(chunk, { stream: true }))) {
        if (this.#deadline.signal.aborted) break;
        yield data;
      }
      if (this.#cancelled) return;
      this.#check();
      if (chunk === undefined) throw this.#cut();
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    this.#check();
    this.#deadline.restart();
    try {
      return await this.#chunks.next();
    } catch (cause) {
      if (this.#deadline.signal.aborted) return undefined;
      throw this.#cut(cause);
    } finally {
      this.#deadline.pause();
    }
  }

  /** Throws what ended the call, unless that was `cancel`. */
  #check(): void {
    if (this.#deadline.signal.aborted && !this.#cancelled) {
      throw this.#deadline.fault(this.requestId);
    }
  }

  #document(data: string): Reader {
    const document = parseJson(data, this.requestId);
    const error = isObject(document) ? document['error'] : undefined;
    if (isObject(error)) throw errorOfEvent(error, this.requestId);
    return new Reader(document, this.requestId, 'an event');
  }

  #cut(cause?: unknown): StreamCutError {
    return new StreamCutError('the stream was cut before its end', this.requestId, cause);
  }

  #end(whole: boolean): void {
    if (whole) {
      this.#deadline.stop();
      this.#chunks.drain();
    } else {
      this.cancel();
    }
  }
}
