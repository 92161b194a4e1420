/** An answer while it comes: `for await (const token of stream)`. */

import { RealmError } from './errors.js';
import type { EventSource } from './sse/event-source.js';
import type { FinishReason } from './types/finish-reason.js';
import type { Usage } from './types/usage.js';
import type { Reader } from './wire/json.js';

/** What every piece of an answer has. */
export interface Piece {
  /** New text; may be empty, for example at the end. */
  readonly text: string;
  /** Which answer it belongs to, from 0 to `n` - 1. */
  readonly index: number;
  /** Why the answer ended, with its last piece; else null. */
  readonly finishReason: FinishReason | null;
}

/** What an event holds. */
export interface Pieces<P extends Piece> {
  readonly pieces: readonly P[];
  readonly usage: Usage | undefined;
}

/** A stream can be read once. Leaving the loop ends the request on the server. */
export class TokenStream<P extends Piece> implements AsyncIterable<P> {
  /** The request's id. */
  readonly requestId: string;
  readonly #source: EventSource;
  readonly #read: (event: Reader) => Pieces<P>;
  #begun = false;
  #usage: Usage | undefined;
  #finishReason: FinishReason | undefined;

  /** @internal */
  constructor(source: EventSource, read: (event: Reader) => Pieces<P>) {
    this.requestId = source.requestId;
    this.#source = source;
    this.#read = read;
  }

  /** Token counts; known after the loop. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** Why the first answer ended; known after the loop. */
  get finishReason(): FinishReason | undefined {
    return this.#finishReason;
  }

  /** Ends the request. A loop that waits for a token ends without an error. */
  cancel(): void {
    this.#source.cancel();
  }

  /** Reads to the end; the text of the first answer. */
  async text(): Promise<string> {
    let text = '';
    for await (const piece of this) if (piece.index === 0) text += piece.text;
    return text;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<P, void, undefined> {
    if (this.#begun) throw new RealmError('a stream can be read only once', this.requestId);
    this.#begun = true;
    for await (const event of this.#source.documents()) {
      const { pieces, usage } = this.#read(event);
      this.#usage = usage ?? this.#usage;
      for (const piece of pieces) {
        this.#note(piece);
        yield piece;
      }
    }
  }

  #note({ index, finishReason }: P): void {
    if (index === 0) this.#finishReason = finishReason ?? this.#finishReason;
  }
}
