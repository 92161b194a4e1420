/** The parameters that completions and chat share, and how they go over the wire. */

import { toBody, toWire } from '../wire/casing.js';
import type { JsonObject } from '../wire/json.js';

/** What an answer has to be. */
export type ResponseFormat =
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | { readonly type: 'json_schema'; readonly jsonSchema: JsonSchemaFormat };

export interface JsonSchemaFormat {
  readonly name: string;
  readonly description?: string | undefined;
  readonly schema: JsonObject;
  readonly strict?: boolean | undefined;
}

/** What an answer has to be, beyond JSON; exactly one member. */
export type StructuredOutputs =
  | { readonly json: JsonObject | string }
  | { readonly regex: string }
  | { readonly choice: readonly string[] }
  | { readonly grammar: string };

export interface GenerationParams {
  /** Default: the client's `model`, else the first that the server lists. */
  readonly model?: string | undefined;
  /** Tokens of an answer, at most. */
  readonly maxTokens?: number | undefined;
  /** 0 takes the most likely token each time. */
  readonly temperature?: number | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly minP?: number | undefined;
  readonly repetitionPenalty?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  /** The same seed gives the same answer. */
  readonly seed?: number | undefined;
  /** From token ids to what is added to their logits. */
  readonly logitBias?: Readonly<Record<string, number>> | undefined;
  /** Strings that end an answer. */
  readonly stop?: string | readonly string[] | undefined;
  /** Answers to the prompt. */
  readonly n?: number | undefined;
  readonly responseFormat?: ResponseFormat | undefined;
  readonly structuredOutputs?: StructuredOutputs | undefined;
  /** For the caller's own books; changes nothing. */
  readonly user?: string | undefined;
  /** For the caller's own books; changes nothing. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Fields that this library does not know, under their wire names. They win over all others. */
  readonly extraBody?: JsonObject | undefined;
}

/** The body of a request for a whole answer. */
export function generationBody(params: GenerationParams): Record<string, unknown> {
  const { responseFormat, ...rest } = params;
  const body = toBody({ ...rest, extraBody: undefined });
  const format = responseFormat && { response_format: toWire(responseFormat) };
  return { ...body, ...format, ...params.extraBody };
}

/** The body of a request for a stream; the token counts come at its end. */
export function streamBody(body: Record<string, unknown>): Record<string, unknown> {
  return { stream_options: { include_usage: true }, ...body, stream: true };
}
