/** Messages of a conversation. */

import { toWire } from '../wire/casing.js';
import type { Reader } from '../wire/json.js';
import { readToolCall, type ToolCall } from './tool.js';

/** A part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

export type Content = string | readonly TextPart[];

/** A message; an answer's `message` can be sent back as it is. */
export type Message =
  | { readonly role: 'system' | 'developer' | 'user'; readonly content: Content }
  | AssistantMessage
  | ToolMessage;

export interface AssistantMessage {
  readonly role: 'assistant';
  readonly content?: Content | null | undefined;
  readonly toolCalls?: readonly ToolCall[] | undefined;
}

/** What a tool gave. */
export interface ToolMessage {
  readonly role: 'tool';
  readonly content: Content;
  readonly toolCallId: string;
  readonly name?: string | undefined;
}

/** The model's message. */
export interface AnswerMessage {
  readonly role: 'assistant';
  /** Null when there are only calls. */
  readonly content: string | null;
  readonly toolCalls?: readonly ToolCall[];
}

/** Messages under their wire names. */
export function messagesBody(messages: readonly Message[]): Record<string, unknown>[] {
  return messages.map(toWire);
}

/** The message of a whole answer. */
export function readMessage(message: Reader): AnswerMessage {
  const content = message.maybe('content', (text) => text.string()) ?? null;
  const toolCalls = message.maybe('tool_calls', (calls) => calls.list(readToolCall));
  return { role: 'assistant', content, ...(toolCalls && { toolCalls }) };
}
