/** Server-sent events of a text that comes in pieces, as the HTML standard reads them. */

import { ProtocolError } from '../errors.js';
import { LineSplitter, MAX_LINE_CHARS } from './line-splitter.js';

/** The data of an event, in UTF-16 units, at most. */
const MAX_DATA_CHARS = MAX_LINE_CHARS;

export class EventParser {
  readonly #requestId: string;
  readonly #lines: LineSplitter;
  #data: string[] = [];
  #chars = 0;

  /** The request's id is for errors. */
  constructor(requestId: string) {
    this.#requestId = requestId;
    this.#lines = new LineSplitter(requestId);
  }

  /** The data of the events that end in this piece. One without data is none; one without its empty line never ends. */
  push(piece: string): string[] {
    return this.#lines.push(piece).flatMap((line) => this.#line(line));
  }

  #line(line: string): string[] {
    if (line === '') return this.#end();
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    if (name === 'data') this.#keep(colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, ''));
    return [];
  }

  #keep(data: string): void {
    this.#chars += data.length + 1;
    if (this.#chars > MAX_DATA_CHARS) {
      const message = `an event of the stream has more than ${MAX_DATA_CHARS} characters`;
      throw new ProtocolError(message, this.#requestId);
    }
    this.#data.push(data);
  }

  #end(): string[] {
    if (this.#data.length === 0) return [];
    const data = this.#data.join('\n');
    this.#data = [];
    this.#chars = 0;
    return [data];
  }
}
