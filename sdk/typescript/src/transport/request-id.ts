/** Ids of requests. The client makes them, so that an error without an answer can be found in the server's log too. */

/** The header of both directions. */
export const REQUEST_ID = 'x-request-id';

const ID_BYTES = 16;

/** A new id. `crypto.randomUUID` is missing on pages that were not loaded safely, so it is not used. */
export function newRequestId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return `req-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
