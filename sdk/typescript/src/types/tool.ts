/** Functions that a model may call, and its calls. */

import type { JsonObject, Reader } from '../wire/json.js';

/** A function that the model may call. */
export interface Tool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string | undefined;
    /** JSON schema of the arguments. */
    readonly parameters?: JsonObject | undefined;
    readonly strict?: boolean | undefined;
  };
}

/** Which tools are to be called. */
export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly type: 'function'; readonly function: { readonly name: string } };

/** A call. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    /** JSON text. */
    readonly arguments: string;
  };
}

/** A piece of a call on a stream: the first has id and name, all have more of the arguments' text. */
export interface ToolCallPiece {
  /** Which call of the answer. */
  readonly index: number;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly arguments: string;
}

/** A call in a whole answer. */
export function readToolCall(call: Reader): ToolCall {
  const called = call.at('function');
  const named = { name: called.at('name').string(), arguments: called.at('arguments').string() };
  return { id: call.at('id').string(), type: 'function', function: named };
}

/** A piece of a call. */
export function readToolCallPiece(call: Reader): ToolCallPiece {
  const text = (name: string): string | undefined =>
    call.maybe('function', (called) => called.maybe(name, (value) => value.string()));
  return {
    index: call.at('index').number(),
    id: call.maybe('id', (id) => id.string()),
    name: text('name'),
    arguments: text('arguments') ?? '',
  };
}
