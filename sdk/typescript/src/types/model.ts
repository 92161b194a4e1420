/** Models that a server has. */

import type { JsonObject, Reader } from '../wire/json.js';

export interface Model {
  /** Name to ask for it. */
  readonly id: string;
  /** In seconds since 1970. */
  readonly created: number;
  readonly ownedBy: string;
  /** All that the server says of it, under its wire names. */
  readonly details: JsonObject;
  readonly requestId: string;
}

export interface ModelList {
  readonly data: readonly Model[];
  readonly requestId: string;
}

/** The answer to a list. */
export function readModels(answer: Reader): ModelList {
  return { data: answer.at('data').list(readModel), requestId: answer.requestId };
}

/** One model. */
export function readModel(model: Reader): Model {
  return {
    id: model.at('id').string(),
    created: model.at('created').number(),
    ownedBy: model.at('owned_by').string(),
    details: model.object(),
    requestId: model.requestId,
  };
}
