/** `client.completions`. */

import type { RequestOptions } from '../settings.js';
import { TokenStream } from '../token-stream.js';
import type { Transport } from '../transport/transport.js';
import {
  type Completion,
  type CompletionParams,
  type CompletionToken,
  readCompletion,
  readCompletionPieces,
} from '../types/completion.js';
import { generationBody, streamBody } from '../types/generation.js';

const PATH = '/v1/completions';

export class Completions {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Continues a prompt; the whole answer at once. */
  async create(params: CompletionParams, options?: RequestOptions): Promise<Completion> {
    const call = { path: PATH, body: generationBody(params) };
    return readCompletion(await this.#transport.json(call, options));
  }

  /** Continues a prompt; token by token. Resolves when the server begins to answer. */
  async stream(
    params: CompletionParams,
    options?: RequestOptions,
  ): Promise<TokenStream<CompletionToken>> {
    const call = { path: PATH, body: streamBody(generationBody(params)) };
    return new TokenStream(await this.#transport.events(call, options), readCompletionPieces);
  }
}
