/** Embeddings: texts become vectors. */

import type { JsonObject, Reader } from '../wire/json.js';
import { ProtocolError } from '../errors.js';
import { readUsage, type Usage } from './usage.js';

/** Bytes of a number in `base64`. */
const FLOAT_BYTES = 4;

export interface EmbeddingParams {
  /** Default: the client's `model`, else the first that the server lists. */
  readonly model?: string | undefined;
  /** A text, token ids, or a list of either. */
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** Length of the vectors, where the model allows a choice. */
  readonly dimensions?: number | undefined;
  /** How the vectors travel; `base64` is smaller. What you get is the same. */
  readonly encodingFormat?: 'float' | 'base64' | undefined;
  /** For the caller's own books; changes nothing. */
  readonly user?: string | undefined;
  readonly extraBody?: JsonObject | undefined;
}

export interface Embeddings {
  /** One for each input, in its order. */
  readonly vectors: readonly (readonly number[])[];
  readonly model: string;
  readonly usage: Usage | undefined;
  readonly requestId: string;
}

/** The whole answer. */
export function readEmbeddings(answer: Reader): Embeddings {
  const entries = answer.at('data').list((entry) => ({
    index: entry.at('index').number(),
    vector: readVector(entry.at('embedding')),
  }));
  return {
    vectors: entries.sort((a, b) => a.index - b.index).map(({ vector }) => vector),
    model: answer.at('model').string(),
    usage: answer.maybe('usage', readUsage),
    requestId: answer.requestId,
  };
}

function readVector(embedding: Reader): number[] {
  return embedding.isString()
    ? fromBase64(embedding.string(), embedding.requestId)
    : embedding.list((entry) => entry.number());
}

/** Little-endian floats of 32 bits. */
function fromBase64(text: string, requestId: string): number[] {
  const bytes = Uint8Array.from(decode(text, requestId), (character) => character.charCodeAt(0));
  if (bytes.length % FLOAT_BYTES !== 0) {
    throw new ProtocolError(`an embedding has ${bytes.length} bytes, no whole numbers`, requestId);
  }
  const view = new DataView(bytes.buffer);
  const count = bytes.length / FLOAT_BYTES;
  return Array.from({ length: count }, (_, index) => view.getFloat32(index * FLOAT_BYTES, true));
}

function decode(text: string, requestId: string): string {
  try {
    return atob(text);
  } catch (cause) {
    throw new ProtocolError('an embedding is not base64', requestId, cause);
  }
}
