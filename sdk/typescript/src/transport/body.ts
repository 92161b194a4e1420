/** The text of an answer, of a bounded size. */

import { ProtocolError } from '../errors.js';
import { Chunks } from '../chunks.js';

/** A whole answer, in bytes, at most. */
export const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** An error's answer, in bytes, at most. */
export const MAX_ERROR_BYTES = 256 * 1024;

/** Reads the body as UTF-8. */
export async function readText(response: Response, max: number, requestId: string): Promise<string> {
  if (response.body === null) return '';
  const chunks = new Chunks(response.body);
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
    bytes += chunk.length;
    if (bytes > max) {
      chunks.cancel();
      throw new ProtocolError(`the answer has more than ${max} bytes`, requestId);
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
