/** `client.chat`. */

import type { RequestOptions } from '../settings.js';
import { TokenStream } from '../token-stream.js';
import type { Transport } from '../transport/transport.js';
import {
  type ChatAnswer,
  chatBody,
  type ChatParams,
  type ChatToken,
  readChat,
  readChatPieces,
} from '../types/chat.js';
import { streamBody } from '../types/generation.js';

const PATH = '/v1/chat/completions';

export class Chat {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Continues a conversation; the whole answer at once. */
  async create(params: ChatParams, options?: RequestOptions): Promise<ChatAnswer> {
    return readChat(await this.#transport.json({ path: PATH, body: chatBody(params) }, options));
  }

  /** Continues a conversation; token by token. Resolves when the server begins to answer. */
  async stream(params: ChatParams, options?: RequestOptions): Promise<TokenStream<ChatToken>> {
    const call = { path: PATH, body: streamBody(chatBody(params)) };
    return new TokenStream(await this.#transport.events(call, options), readChatPieces);
  }
}
