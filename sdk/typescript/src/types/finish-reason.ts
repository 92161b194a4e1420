/** Why an answer ended. */

import type { Reader } from '../wire/json.js';

/** `stop`: by itself or at a stop string; `length`: at its token limit. A server may know more reasons. */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | (string & {});

/** The member `finish_reason`; null before the end. */
export function readFinishReason(choice: Reader): FinishReason | null {
  return choice.maybe('finish_reason', (reason) => reason.string()) ?? null;
}
