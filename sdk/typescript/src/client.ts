/** The client. */

import { loadOpenAI, type OpenAI, type OpenAIOptions, openaiOptions } from './openai.js';
import { Chat } from './resources/chat.js';
import { Completions } from './resources/completions.js';
import { Embeddings } from './resources/embeddings.js';
import { Models } from './resources/models.js';
import { type ClientOptions, parseSettings, type RequestOptions, type Settings } from './settings.js';
import { Transport } from './transport/transport.js';
import {
  type Detokenized,
  type DetokenizeParams,
  readDetokenized,
  readTokens,
  tokenizeBody,
  type TokenizeParams,
  type Tokens,
} from './types/tokens.js';
import { toBody } from './wire/casing.js';

/** A client of a Realm server. Cheap; keeps no connection of its own. */
export class Realm {
  readonly completions: Completions;
  readonly chat: Chat;
  readonly embeddings: Embeddings;
  readonly models: Models;
  readonly #settings: Settings;
  readonly #transport: Transport;

  constructor(options: ClientOptions = {}) {
    this.#settings = parseSettings(options);
    this.#transport = new Transport(this.#settings);
    this.completions = new Completions(this.#transport);
    this.chat = new Chat(this.#transport);
    this.embeddings = new Embeddings(this.#transport);
    this.models = new Models(this.#transport);
  }

  /** The token ids of a text or a conversation. */
  async tokenize(params: TokenizeParams, options?: RequestOptions): Promise<Tokens> {
    const call = { path: '/tokenize', body: tokenizeBody(params) };
    return readTokens(await this.#transport.json(call, options));
  }

  /** The text of token ids. */
  async detokenize(params: DetokenizeParams, options?: RequestOptions): Promise<Detokenized> {
    const call = { path: '/detokenize', body: toBody(params) };
    return readDetokenized(await this.#transport.json(call, options));
  }

  /** The official `openai` client for this server; the package must be installed. `overrides` are its own options. */
  async openai(overrides: object = {}): Promise<OpenAI> {
    return await loadOpenAI({ ...this.openaiOptions(), ...overrides });
  }

  /** Options for `new OpenAI(...)`, where it is imported already. */
  openaiOptions(): OpenAIOptions {
    return openaiOptions(this.#settings);
  }
}
