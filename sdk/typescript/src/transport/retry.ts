/** Which failures are worth another try, and how long to wait before it. Pure. */

import { APIError, ConnectionError } from '../errors.js';

/** The first wait without `Retry-After`, in milliseconds; it doubles with each try. */
const FIRST_WAIT_MS = 500;
/** Longest wait without `Retry-After`, in milliseconds. */
const MAX_BACKOFF_MS = 8_000;
/** A `Retry-After` above this is not waited for, in milliseconds: the caller learns of it instead. */
const MAX_RETRY_AFTER_MS = 60_000;
/** What chance adds to `Retry-After`, as a part of it: clients that were refused together do not come back together. */
const RETRY_AFTER_SPREAD = 0.1;

/** No server does these better the next time. */
const FINAL_SERVER_STATUS: ReadonlySet<number> = new Set([501, 505]);

/** Milliseconds before try number `retry` (from 0) after `error`; undefined when it is final. `chance` is in [0, 1). */
export function waitBefore(retry: number, error: unknown, chance: number): number | undefined {
  if (!mayPass(error)) return undefined;
  const asked = error instanceof APIError ? error.retryAfter : undefined;
  if (asked === undefined) return backoff(retry) * (0.5 + chance / 2);
  const wait = asked * 1000;
  return wait > MAX_RETRY_AFTER_MS ? undefined : wait * (1 + chance * RETRY_AFTER_SPREAD);
}

function backoff(retry: number): number {
  return Math.min(FIRST_WAIT_MS * 2 ** retry, MAX_BACKOFF_MS);
}

function mayPass(error: unknown): boolean {
  if (error instanceof ConnectionError) return true;
  if (!(error instanceof APIError) || error.status === undefined) return false;
  return error.status === 429 || (error.status >= 500 && !FINAL_SERVER_STATUS.has(error.status));
}
