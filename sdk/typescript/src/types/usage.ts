/** Token counts of a request. */

import type { Reader } from '../wire/json.js';

export interface Usage {
  readonly promptTokens: number;
  /** Tokens of all answers. */
  readonly completionTokens: number;
  readonly totalTokens: number;
  /** Tokens of the prompt that needed no work, because the tenant had sent the same beginning before. */
  readonly cachedTokens: number;
}

/** The member `usage`. */
export function readUsage(usage: Reader): Usage {
  const cached = usage.maybe('prompt_tokens_details', (details) =>
    details.maybe('cached_tokens', (count) => count.number()),
  );
  return {
    promptTokens: usage.at('prompt_tokens').number(),
    completionTokens: usage.maybe('completion_tokens', (count) => count.number()) ?? 0,
    totalTokens: usage.at('total_tokens').number(),
    cachedTokens: cached ?? 0,
  };
}
