/** What can go wrong, one class a kind, so that `instanceof` decides. Each error has the request's id where there is one. */

/** Any error of this library. */
export class RealmError extends Error {
  override readonly name: string = 'RealmError';
  /** The request's id: the same that the server's log has. */
  readonly requestId: string | undefined;

  constructor(message: string, requestId?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.requestId = requestId;
  }
}

/** No answer: the connection could not be made, or broke before the answer was there. */
export class ConnectionError extends RealmError {
  override readonly name = 'ConnectionError';
}

/** The time given by `timeout` is over. */
export class TimeoutError extends RealmError {
  override readonly name = 'TimeoutError';
}

/** A stream ended before its end: what came is no whole answer. */
export class StreamCutError extends RealmError {
  override readonly name = 'StreamCutError';
}

/** The answer is not what the API promises; something else than Realm may have answered. */
export class ProtocolError extends RealmError {
  override readonly name = 'ProtocolError';
}

/** What an error's answer says. */
export interface APIErrorDetails {
  /** HTTP status; undefined for an error inside a stream that had begun with 200. */
  readonly status: number | undefined;
  /** Name of the error, for programs: `requests_per_minute_exceeded`, `model_not_found`, ... */
  readonly code: string | undefined;
  /** Kind of the error, as OpenAI's API names it. */
  readonly type: string | undefined;
  /** The field of the request that the error is about. */
  readonly param: string | undefined;
  /** The tenant, where the answer names it. */
  readonly tenant: string | undefined;
  /** Seconds after which another try may succeed. */
  readonly retryAfter: number | undefined;
}

/** The server answered with an error. */
export class APIError extends RealmError implements APIErrorDetails {
  override readonly name: string = 'APIError';
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly type: string | undefined;
  readonly param: string | undefined;
  readonly tenant: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(message: string, details: APIErrorDetails, requestId: string | undefined) {
    super(message, requestId);
    this.status = details.status;
    this.code = details.code;
    this.type = details.type;
    this.param = details.param;
    this.tenant = details.tenant;
    this.retryAfter = details.retryAfter;
  }
}

/** 400: the request is wrong; `param` names the field. */
export class BadRequestError extends APIError {
  override readonly name = 'BadRequestError';
}

/** 401: no key, or a wrong or expired one. */
export class AuthenticationError extends APIError {
  override readonly name = 'AuthenticationError';
}

/** 403: the key is right but may not do this. */
export class PermissionDeniedError extends APIError {
  override readonly name = 'PermissionDeniedError';
}

/** 404: there is no such model or address. */
export class NotFoundError extends APIError {
  override readonly name = 'NotFoundError';
}

/** 422: the request reads well and cannot be carried out. */
export class UnprocessableEntityError extends APIError {
  override readonly name = 'UnprocessableEntityError';
}

/** 429: a limit of the tenant is reached. */
export class RateLimitError extends APIError {
  override readonly name = 'RateLimitError';

  /** Which limit: `requests_per_minute_exceeded`, `tokens_per_day_exceeded`, ... */
  get limit(): string | undefined {
    return this.code;
  }
}

/** 429 `overloaded` or 503: the server has too much to do, or is not ready, for every tenant. */
export class OverloadedError extends APIError {
  override readonly name = 'OverloadedError';
}

/** 500 and above: the server failed. */
export class ServerError extends APIError {
  override readonly name = 'ServerError';
}
