/** From an error's answer, or an error event of a stream, to the class that fits. */

import {
  APIError,
  type APIErrorDetails,
  AuthenticationError,
  BadRequestError,
  NotFoundError,
  OverloadedError,
  PermissionDeniedError,
  RateLimitError,
  ServerError,
  UnprocessableEntityError,
} from '../errors.js';
import { isObject, type JsonObject } from './json.js';

/** Characters of an answer without JSON that an error quotes. */
const QUOTED_CHARS = 200;

type Constructor = new (...args: ConstructorParameters<typeof APIError>) => APIError;

/** Code of a 429 that is about the whole server instead of one tenant. */
const OVERLOADED = 'overloaded';

const BY_STATUS: Readonly<Record<number, Constructor>> = {
  400: BadRequestError,
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  422: UnprocessableEntityError,
  429: RateLimitError,
  503: OverloadedError,
};

/** The status that an error inside a stream would have had as an answer of its own. */
const STATUS_OF_TYPE: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  permission_error: 403,
  rate_limit_error: 429,
  server_error: 500,
};

/** Codes of 503. */
const UNAVAILABLE: ReadonlySet<string> = new Set(['stopping', 'program_unavailable']);

/** From an answer whose status is no success. */
export function errorOfAnswer(
  status: number,
  text: string,
  requestId: string,
  retryAfter: number | undefined,
): APIError {
  const body = errorObject(text);
  const details = { ...detailsOf(body), status, retryAfter };
  const message = stringOf(body?.['message']) ?? withoutJson(status, text);
  return new (classOf(status, details.code))(message, details, requestId);
}

/** From the member `error` of an event. */
export function errorOfEvent(body: JsonObject, requestId: string): APIError {
  const details: APIErrorDetails = { ...detailsOf(body), status: undefined, retryAfter: undefined };
  const message = stringOf(body['message']) ?? 'the server ended the stream with an error';
  return new (classOf(statusOfEvent(details), details.code))(message, details, requestId);
}

function statusOfEvent({ type, code }: APIErrorDetails): number {
  if (code !== undefined && UNAVAILABLE.has(code)) return 503;
  return STATUS_OF_TYPE[type ?? ''] ?? 500;
}

function classOf(status: number, code: string | undefined): Constructor {
  if (status === 429 && code === OVERLOADED) return OverloadedError;
  return BY_STATUS[status] ?? (status >= 500 ? ServerError : APIError);
}

function detailsOf(
  body: JsonObject | undefined,
): Pick<APIErrorDetails, 'code' | 'type' | 'param' | 'tenant'> {
  return {
    code: stringOf(body?.['code']),
    type: stringOf(body?.['type']),
    param: stringOf(body?.['param']),
    tenant: stringOf(body?.['tenant']),
  };
}

function errorObject(text: string): JsonObject | undefined {
  try {
    const body: unknown = JSON.parse(text);
    const error = isObject(body) ? body['error'] : undefined;
    return isObject(error) ? error : undefined;
  } catch {
    return undefined;
  }
}

function withoutJson(status: number, text: string): string {
  const quoted = text.trim().slice(0, QUOTED_CHARS);
  return quoted === '' ? `HTTP ${status}` : `HTTP ${status}: ${quoted}`;
}

function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
