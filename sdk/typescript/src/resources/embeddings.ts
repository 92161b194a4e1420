/** `client.embeddings`. */

import type { RequestOptions } from '../settings.js';
import type { Transport } from '../transport/transport.js';
import { type EmbeddingParams, type Embeddings as Answer, readEmbeddings } from '../types/embedding.js';
import { toBody } from '../wire/casing.js';

export class Embeddings {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The vectors of texts. */
  async create(params: EmbeddingParams, options?: RequestOptions): Promise<Answer> {
    const call = { path: '/v1/embeddings', body: toBody(params) };
    return readEmbeddings(await this.#transport.json(call, options));
  }
}
