/** Lines of a text that comes in pieces. A line ends with LF, CR or CRLF, also when a piece ends between the two. */

import { ProtocolError } from '../errors.js';

/** Length of a line, in UTF-16 units, at most. */
export const MAX_LINE_CHARS = 16 * 1024 * 1024;

const LF = 10;
const CR = 13;

export class LineSplitter {
  readonly #requestId: string;
  #rest = '';
  /** The last line ended with a CR at the very end of a piece: an LF that follows belongs to it. */
  #afterCR = false;

  /** The request's id is for errors. */
  constructor(requestId: string) {
    this.#requestId = requestId;
  }

  /** The lines that end in this piece. A CR ends its line at once: nothing waits for the next piece. */
  push(piece: string): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let at = 0; at < piece.length; at++) {
      const unit = piece.charCodeAt(at);
      if (unit === LF && this.#afterCR) {
        start = at + 1;
      } else if (unit === LF || unit === CR) {
        lines.push(this.#rest + piece.slice(start, at));
        this.#rest = '';
        start = at + 1;
      }
      this.#afterCR = unit === CR;
    }
    this.#keep(piece.slice(start));
    return lines;
  }

  #keep(rest: string): void {
    if (this.#rest.length + rest.length > MAX_LINE_CHARS) {
      const message = `a line of the stream has more than ${MAX_LINE_CHARS} characters`;
      throw new ProtocolError(message, this.#requestId);
    }
    this.#rest += rest;
  }
}
