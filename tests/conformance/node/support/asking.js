/** Asks as users do: with the unmodified official clients. */

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import OpenAI from 'openai';

export const MODEL = 'smollm2';
export const QUESTION = [{ role: 'user', content: 'Name the capital of France.' }];
export const CAPITAL = 'The capital of France is';
/** Token of " yes" in the demo model's vocabulary. */
export const YES = '9805';
/** In milliseconds; a debug build on a busy machine is slow. */
const PATIENCE = 100_000;

/** Where a server of this run is. */
function urlOf(variable) {
  const url = process.env[variable];
  if (url) return `${url}/v1`;
  throw new Error(`${variable} is not set: run the tests with \`npm test\``);
}

/** The key of a tenant in `../python/server.yaml`. */
export function keyOf(tenant) {
  return `rlm_key_of_the_tenant_${tenant}`;
}

/** The official client; without retries, so that each failure is seen. */
export function official(tenant = 'free', options = {}) {
  const baseURL = urlOf('REALM_URL');
  return new OpenAI({ baseURL, apiKey: keyOf(tenant), maxRetries: 0, timeout: PATIENCE, ...options });
}

/** The same, of the server whose model can call tools. */
export function officialWithTools() {
  return official('free', { baseURL: urlOf('REALM_TOOLS_URL') });
}

/** A model of the AI SDK. */
export function aiModel(tenant = 'free', kind = 'chatModel', name = MODEL) {
  return provider('REALM_URL', tenant)[kind](name);
}

/** The same, of the server whose model can call tools. */
export function aiModelWithTools() {
  return provider('REALM_TOOLS_URL', 'free').chatModel(MODEL);
}

function provider(variable, tenant) {
  return createOpenAICompatible({
    name: 'realm',
    baseURL: urlOf(variable),
    apiKey: keyOf(tenant),
    includeUsage: true,
    supportsStructuredOutputs: true,
  });
}

/** All that a stream brings. */
export async function collect(stream) {
  const found = [];
  for await (const piece of stream) found.push(piece);
  return found;
}

/** One of the endpoints that generate, and the least request that it takes. */
class Endpoint {
  constructor(name, least, textOf) {
    this.name = name;
    this.least = least;
    this.textOf = textOf;
  }

  /** The answer to the least request with these fields. */
  create(client, fields = {}, options = {}) {
    const resource = this.name === 'chat' ? client.chat.completions : client.completions;
    return resource.create({ ...this.least, ...fields }, options);
  }

  /** All chunks of the same as a stream. */
  async stream(client, fields = {}) {
    return collect(await this.create(client, { ...fields, stream: true }));
  }

  /** The texts of a whole answer's choices. */
  texts(answer) {
    return answer.choices.map((choice) => this.textOf(choice));
  }

  /** The text of a choice of a stream. */
  streamedText(chunks, index = 0) {
    const choices = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
    return choices.map((choice) => this.textOf(choice)).join('');
  }
}

const LEAST = { model: MODEL, max_tokens: 12, temperature: 0 };

export const CHAT = new Endpoint(
  'chat',
  { ...LEAST, messages: QUESTION },
  (choice) => (choice.message ?? choice.delta).content ?? '',
);
export const TEXT = new Endpoint('completions', { ...LEAST, prompt: CAPITAL }, (choice) => choice.text);
export const ENDPOINTS = [CHAT, TEXT];
