/** From the names of this library to those of the wire. Only names that the library knows are changed: what a caller
 * puts into a schema, a bias table or `extraBody` goes as it is. */

import type { JsonObject } from './json.js';

/** The members as the wire names them, without those that are undefined. */
export function toWire(members: object): Record<string, unknown> {
  const given = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [snakeCase(name), value]));
}

/** A request's body: parameters under their wire names, then what the caller adds. */
export function toBody(
  params: object & { readonly extraBody?: JsonObject | undefined },
): Record<string, unknown> {
  const { extraBody, ...known } = params;
  return { ...toWire(known), ...extraBody };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
