/** A body piece by piece, as an iterator that lets go of the connection when it is left early. */

/** Time for the connection to end by itself after the last event, in milliseconds, so that it can be used again. */
const DRAIN_MS = 1000;

/** Reads a body. */
export class Chunks {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The next piece; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    const { value, done } = await this.#reader.read();
    return done ? undefined : value;
  }

  /** Ends the request. */
  cancel(): void {
    this.#reader.cancel().catch(() => undefined);
  }

  /** Reads what little may still come, beside the caller: a body that was read to its end keeps its connection. */
  drain(): void {
    const late = setTimeout(() => this.cancel(), DRAIN_MS);
    const rest = async (): Promise<void> => {
      while ((await this.next()) !== undefined);
    };
    rest()
      .catch(() => undefined)
      .finally(() => clearTimeout(late));
  }
}
