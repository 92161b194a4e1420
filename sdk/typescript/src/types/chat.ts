/** Chat: a conversation is continued. */

import type { Piece, Pieces } from '../token-stream.js';
import type { Reader } from '../wire/json.js';
import { type FinishReason, readFinishReason } from './finish-reason.js';
import { type GenerationParams, generationBody } from './generation.js';
import { type Head, readHead } from './head.js';
import { type AnswerMessage, type Message, messagesBody, readMessage } from './message.js';
import { readToolCallPiece, type Tool, type ToolCallPiece, type ToolChoice } from './tool.js';
import { readUsage } from './usage.js';

export interface ChatParams extends GenerationParams {
  readonly messages: readonly Message[];
  readonly tools?: readonly Tool[] | undefined;
  readonly toolChoice?: ToolChoice | undefined;
  readonly parallelToolCalls?: boolean | undefined;
  /** Whether to report probabilities. */
  readonly logprobs?: boolean | undefined;
  /** Alternatives to report for each token. */
  readonly topLogprobs?: number | undefined;
}

/** A token and its probability. */
export interface TokenLogprob {
  readonly token: string;
  /** Natural logarithm. */
  readonly logprob: number;
  readonly bytes: readonly number[] | undefined;
}

/** The chosen token and the most likely ones. */
export interface ChatLogprob extends TokenLogprob {
  readonly topLogprobs: readonly TokenLogprob[];
}

export interface ChatChoice {
  readonly index: number;
  readonly message: AnswerMessage;
  readonly finishReason: FinishReason | null;
  readonly logprobs: readonly ChatLogprob[] | undefined;
}

export interface ChatAnswer extends Head {
  /** Text of the first answer; empty when it only calls tools. */
  readonly text: string;
  /** The first answer, to be sent back with the next question. */
  readonly message: AnswerMessage;
  /** Why the first answer ended. */
  readonly finishReason: FinishReason | null;
  /** All answers. */
  readonly choices: readonly ChatChoice[];
}

/** A piece of an answer. */
export interface ChatToken extends Piece {
  readonly toolCalls: readonly ToolCallPiece[];
  readonly logprobs: readonly ChatLogprob[] | undefined;
}

/** The body of a request. */
export function chatBody({ messages, ...rest }: ChatParams): Record<string, unknown> {
  return { messages: messagesBody(messages), ...generationBody(rest) };
}

/** The whole answer. */
export function readChat(answer: Reader): ChatAnswer {
  const choices = answer.at('choices').list(readChoice);
  const first = choices[0];
  const message = first?.message ?? { role: 'assistant', content: null };
  return {
    ...readHead(answer),
    text: message.content ?? '',
    message,
    finishReason: first?.finishReason ?? null,
    choices,
  };
}

/** An event of a stream. The opening, which only says who speaks, is no piece. */
export function readChatPieces(event: Reader): Pieces<ChatToken> {
  const pieces = event.at('choices').list(readPiece);
  return { pieces: pieces.filter(saysAnything), usage: event.maybe('usage', readUsage) };
}

function saysAnything({ text, toolCalls, finishReason, logprobs }: ChatToken): boolean {
  return text !== '' || toolCalls.length > 0 || finishReason !== null || logprobs !== undefined;
}

function readChoice(choice: Reader): ChatChoice {
  return {
    index: choice.at('index').number(),
    message: readMessage(choice.at('message')),
    finishReason: readFinishReason(choice),
    logprobs: readLogprobs(choice),
  };
}

function readPiece(choice: Reader): ChatToken {
  const delta = choice.at('delta');
  return {
    text: delta.maybe('content', (content) => content.string()) ?? '',
    index: choice.at('index').number(),
    toolCalls: delta.maybe('tool_calls', (calls) => calls.list(readToolCallPiece)) ?? [],
    finishReason: readFinishReason(choice),
    logprobs: readLogprobs(choice),
  };
}

function readLogprobs(choice: Reader): ChatLogprob[] | undefined {
  return choice.maybe('logprobs', (logprobs) =>
    logprobs.maybe('content', (tokens) => tokens.list(readChatLogprob)),
  );
}

function readChatLogprob(token: Reader): ChatLogprob {
  return {
    ...readTokenLogprob(token),
    topLogprobs: token.maybe('top_logprobs', (tokens) => tokens.list(readTokenLogprob)) ?? [],
  };
}

function readTokenLogprob(token: Reader): TokenLogprob {
  return {
    token: token.at('token').string(),
    logprob: token.at('logprob').number(),
    bytes: token.maybe('bytes', (bytes) => bytes.list((byte) => byte.number())),
  };
}
