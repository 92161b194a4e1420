/** From text to token ids and back. */

import { toBody } from '../wire/casing.js';
import type { JsonObject, Reader } from '../wire/json.js';
import { type Message, messagesBody } from './message.js';

interface TokenizeBase {
  /** Default: the client's `model`, else the first that the server lists. */
  readonly model?: string | undefined;
  /** Whether the tokens that the model puts around every text come too. */
  readonly addSpecialTokens?: boolean | undefined;
  /** Whether a conversation ends with the opening of the model's answer. */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Whether the text of each token is wanted too. */
  readonly returnTokenStrs?: boolean | undefined;
  readonly extraBody?: JsonObject | undefined;
}

/** A text, or a conversation as the model's template writes it. */
export type TokenizeParams = TokenizeBase &
  (
    | { readonly prompt: string; readonly messages?: undefined }
    | { readonly messages: readonly Message[]; readonly prompt?: undefined }
  );

export interface Tokens {
  readonly tokens: readonly number[];
  readonly count: number;
  /** Tokens of prompt and answer together that the model takes, at most. */
  readonly maxModelLen: number;
  /** The text of each token, when it was asked for. */
  readonly tokenStrs: readonly string[] | undefined;
  readonly requestId: string;
}

export interface DetokenizeParams {
  /** Default: the client's `model`, else the first that the server lists. */
  readonly model?: string | undefined;
  readonly tokens: readonly number[];
  readonly extraBody?: JsonObject | undefined;
}

export interface Detokenized {
  readonly text: string;
  readonly requestId: string;
}

/** The body of a request. */
export function tokenizeBody(params: TokenizeParams): Record<string, unknown> {
  const { messages, ...rest } = params;
  return { ...(messages && { messages: messagesBody(messages) }), ...toBody(rest) };
}

export function readTokens(answer: Reader): Tokens {
  return {
    tokens: answer.at('tokens').list((token) => token.number()),
    count: answer.at('count').number(),
    maxModelLen: answer.at('max_model_len').number(),
    tokenStrs: answer.maybe('token_strs', (list) => list.list((text) => text.string())),
    requestId: answer.requestId,
  };
}

export function readDetokenized(answer: Reader): Detokenized {
  return { text: answer.at('prompt').string(), requestId: answer.requestId };
}
