/** The official `openai` client, made for this server: what this library does not have is there, without imitation. */

import { RealmError } from './errors.js';
import type { Settings } from './settings.js';

/** The official client's class, where the package `openai` is installed. */
/** @ts-ignore: the package is optional; without it this type is `any` */
export type OpenAI = import('openai').OpenAI;

/** Options for `new OpenAI(...)`. */
export interface OpenAIOptions {
  readonly baseURL: string;
  readonly apiKey: string;
  readonly timeout: number;
  readonly maxRetries: number;
  readonly defaultHeaders: Record<string, string | null>;
  readonly organization: null;
  readonly project: null;
  readonly fetch?: typeof fetch;
}

/** The official client refuses to be made without a key; the header that would carry this one is left out. */
const NO_KEY = 'none';

/** The client's settings in the official client's words. The variables `OPENAI_*` have no say. */
export function openaiOptions(settings: Settings): OpenAIOptions {
  const { root, apiKey, timeout, maxRetries, headers } = settings;
  return {
    baseURL: `${root}/v1`,
    apiKey: apiKey ?? NO_KEY,
    timeout,
    maxRetries,
    defaultHeaders: { ...(apiKey === undefined && { Authorization: null }), ...headers },
    organization: null,
    project: null,
    ...(settings.customFetch && { fetch: settings.fetch }),
  };
}

/** Loads the package and makes a client. */
export async function loadOpenAI(options: object): Promise<OpenAI> {
  const { OpenAI: Client } = await load();
  return new Client(options);
}

async function load(): Promise<typeof import('openai')> {
  try {
    return await import('openai');
  } catch (cause) {
    throw new RealmError('the package `openai` cannot be loaded; `npm install openai`', undefined, cause);
  }
}
