/** The header `Retry-After`: seconds, or a date. */

/** Seconds from `now` (in milliseconds since 1970), never negative; undefined when there is none or it does not read. */
export function parseRetryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}
