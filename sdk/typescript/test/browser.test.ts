/** The built library in headless Chromium, against the real server, from a page of another origin. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import type { Browser, Page } from 'playwright-core';

import { launchChromium } from './support/chromium.js';
import { PageServer } from './support/page-server.js';
import { KEYS, MODEL, RealmServer } from './support/realm-server.js';

type Sdk = typeof import('@querent/realm');

const LIBRARY: string = '/esm/index.js';

const opened: (() => Promise<void>)[] = [];
let server: RealmServer;
let page: Page;
let given: { library: string; url: string; key: string };

before(async () => {
  server = await RealmServer.start();
  opened.push(() => server[Symbol.asyncDispose]());
  const pages = await PageServer.start();
  opened.push(() => pages[Symbol.asyncDispose]());
  const browser: Browser = await launchChromium();
  opened.push(() => browser.close());
  page = await browser.newPage();
  await page.goto(pages.url);
  given = { library: LIBRARY, url: server.url, key: KEYS.main };
});

after(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

test('answers, whole and as a stream', async () => {
  const said = await page.evaluate(async ({ library, url, key }) => {
    const { Realm } = (await import(library)) as Sdk;
    const realm = new Realm({ baseURL: url, apiKey: key });
    const params = { prompt: 'The capital of France is', maxTokens: 8, temperature: 0 };
    const { text, model, requestId } = await realm.completions.create(params);
    const stream = await realm.completions.stream(params);
    const pieces: string[] = [];
    for await (const token of stream) pieces.push(token.text);
    return { text, model, requestId, pieces, usage: stream.usage };
  }, given);
  assert.match(said.text, /Paris/);
  assert.equal(said.model, MODEL);
  assert.match(said.requestId, /^req-/);
  assert.equal(said.pieces.join(''), said.text);
  assert.ok(said.pieces.length > 4);
  assert.equal(said.usage?.completionTokens, 8);
});

test('leaving a loop ends the request on the server', async () => {
  const disconnects = (): Promise<number> => server.sample('realm_client_disconnects_total', { tenant: 'main' });
  const earlier = await disconnects();
  await page.evaluate(async ({ library, url, key }) => {
    const { Realm } = (await import(library)) as Sdk;
    const realm = new Realm({ baseURL: url, apiKey: key });
    const params = { prompt: 'Once upon a time', maxTokens: 1500, logitBias: { '0': -100, '2': -100 } };
    for await (const token of await realm.completions.stream(params)) if (token.text !== '') break;
  }, given);
  while ((await disconnects()) !== earlier + 1) await new Promise((resolve) => setTimeout(resolve, 20));
});

test('errors tell as much as elsewhere: the server lets pages read the headers that matter', async () => {
  const [wrong, limited] = await page.evaluate(
    async ({ library, url, limitedKey }) => {
      const { Realm, RateLimitError, RealmError } = (await import(library)) as Sdk;
      const fail = async (apiKey: string): Promise<object> => {
        const realm = new Realm({ baseURL: url, apiKey, model: 'smollm2', maxRetries: 0 });
        try {
          for (;;) await realm.completions.create({ prompt: 'a', maxTokens: 1 });
        } catch (error) {
          if (!(error instanceof RealmError)) throw error;
          const retryAfter = error instanceof RateLimitError ? error.retryAfter : undefined;
          return { name: error.name, requestId: error.requestId, retryAfter };
        }
      };
      return [await fail('rlm_wrong'), await fail(limitedKey)] as { name: string; requestId?: string; retryAfter?: number }[];
    },
    { ...given, limitedKey: KEYS.limited },
  );
  assert.equal(wrong?.name, 'AuthenticationError');
  assert.match(String(wrong?.requestId), /^req-/);
  assert.equal(limited?.name, 'RateLimitError');
  assert.ok((limited?.retryAfter ?? 0) > 0);
});
