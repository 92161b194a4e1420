/** What the documents of an answer have in common. */

import type { Reader } from '../wire/json.js';
import { readUsage, type Usage } from './usage.js';

export interface Head {
  /** Identity of the answer. */
  readonly id: string;
  /** The model that answered. */
  readonly model: string;
  /** When the answer began, in seconds since 1970. */
  readonly created: number;
  /** Same fingerprint, parameters and seed: same answer. */
  readonly systemFingerprint: string | undefined;
  readonly usage: Usage | undefined;
  /** The request's id, which the server's log has too. */
  readonly requestId: string;
}

/** The members that do not depend on the endpoint. */
export function readHead(answer: Reader): Head {
  return {
    id: answer.at('id').string(),
    model: answer.at('model').string(),
    created: answer.at('created').number(),
    systemFingerprint: answer.maybe('system_fingerprint', (print) => print.string()),
    usage: answer.maybe('usage', readUsage),
    requestId: answer.requestId,
  };
}
