/** Reads JSON field by field into types. A field that is not what the API promises is a `ProtocolError` with its path. */

import { ProtocolError } from '../errors.js';

/** A JSON object. */
export type JsonObject = { readonly [name: string]: unknown };

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Parses the text of an answer. */
export function parseJson(text: string, requestId: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new ProtocolError('the answer is not JSON', requestId, cause);
  }
}

/** A value somewhere in an answer. */
export class Reader {
  readonly #value: unknown;
  readonly #path: string;
  readonly #requestId: string;

  constructor(value: unknown, requestId: string, path = 'the answer') {
    this.#value = value;
    this.#path = path;
    this.#requestId = requestId;
  }

  /** The request's id, for what is made of the answer. */
  get requestId(): string {
    return this.#requestId;
  }

  /** The object itself. */
  object(): JsonObject {
    return isObject(this.#value) ? this.#value : this.#fail('an object');
  }

  /** A member; may be absent. */
  at(name: string): Reader {
    return this.#child(this.object()[name], name);
  }

  /** A member, or undefined when it is absent or null. */
  maybe<T>(name: string, read: (member: Reader) => T): T | undefined {
    const value = this.object()[name];
    return value === undefined || value === null ? undefined : read(this.#child(value, name));
  }

  isString(): boolean {
    return typeof this.#value === 'string';
  }

  string(): string {
    return typeof this.#value === 'string' ? this.#value : this.#fail('a string');
  }

  number(): number {
    return typeof this.#value === 'number' ? this.#value : this.#fail('a number');
  }

  list<T>(read: (entry: Reader) => T): T[] {
    if (!Array.isArray(this.#value)) return this.#fail('a list');
    return this.#value.map((entry, index) => read(this.#child(entry, String(index))));
  }

  /** An object whose members are all numbers. */
  numbers(): Record<string, number> {
    const names = Object.keys(this.object());
    return Object.fromEntries(names.map((name) => [name, this.at(name).number()]));
  }

  /** Null where the value is null. */
  orNull<T>(read: (value: this) => T): T | null {
    return this.#value === null ? null : read(this);
  }

  #child(value: unknown, name: string): Reader {
    return new Reader(value, this.#requestId, `${this.#path}.${name}`);
  }

  #fail(expected: string): never {
    throw new ProtocolError(`${this.#path} is not ${expected}`, this.#requestId);
  }
}
