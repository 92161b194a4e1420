/** Completions: a prompt is continued. */

import type { Piece, Pieces } from '../token-stream.js';
import type { Reader } from '../wire/json.js';
import { type FinishReason, readFinishReason } from './finish-reason.js';
import type { GenerationParams } from './generation.js';
import { type Head, readHead } from './head.js';
import { readUsage } from './usage.js';

export interface CompletionParams extends GenerationParams {
  /** A text, token ids, or a list of either. */
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** Alternatives to report for each token. */
  readonly logprobs?: number | undefined;
  /** The answer begins with the prompt. */
  readonly echo?: boolean | undefined;
  /** Text after the gap that is to be filled. */
  readonly suffix?: string | undefined;
  readonly bestOf?: number | undefined;
}

/** Probabilities: four lists, one entry a token. */
export interface CompletionLogprobs {
  readonly tokens: readonly string[];
  /** Natural logarithms; null where there is none, as for the first token of an echoed prompt. */
  readonly tokenLogprobs: readonly (number | null)[];
  readonly topLogprobs: readonly (Readonly<Record<string, number>> | null)[];
  /** Characters of the answer before each token. */
  readonly textOffset: readonly number[];
}

export interface CompletionChoice {
  readonly index: number;
  readonly text: string;
  readonly finishReason: FinishReason | null;
  readonly logprobs: CompletionLogprobs | undefined;
}

export interface Completion extends Head {
  /** Text of the first answer. */
  readonly text: string;
  /** Why the first answer ended. */
  readonly finishReason: FinishReason | null;
  /** All answers: `n` for each prompt. */
  readonly choices: readonly CompletionChoice[];
}

/** A piece of an answer. */
export interface CompletionToken extends Piece {
  readonly logprobs: CompletionLogprobs | undefined;
}

/** The whole answer. */
export function readCompletion(answer: Reader): Completion {
  const choices = answer.at('choices').list(readChoice);
  const first = choices[0];
  return {
    ...readHead(answer),
    text: first?.text ?? '',
    finishReason: first?.finishReason ?? null,
    choices,
  };
}

/** An event of a stream. */
export function readCompletionPieces(event: Reader): Pieces<CompletionToken> {
  return { pieces: event.at('choices').list(readChoice), usage: event.maybe('usage', readUsage) };
}

function readChoice(choice: Reader): CompletionChoice {
  return {
    index: choice.at('index').number(),
    text: choice.at('text').string(),
    finishReason: readFinishReason(choice),
    logprobs: choice.maybe('logprobs', readLogprobs),
  };
}

function readLogprobs(logprobs: Reader): CompletionLogprobs {
  const number = (entry: Reader): number | null => entry.orNull((value) => value.number());
  const numbers = (entry: Reader): Record<string, number> | null =>
    entry.orNull((value) => value.numbers());
  return {
    tokens: logprobs.at('tokens').list((token) => token.string()),
    tokenLogprobs: logprobs.at('token_logprobs').list(number),
    topLogprobs: logprobs.maybe('top_logprobs', (list) => list.list(numbers)) ?? [],
    textOffset: logprobs.at('text_offset').list((offset) => offset.number()),
  };
}
