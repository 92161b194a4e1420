/** The chat page that the server carries, in headless Chromium, with the real model. */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';

import type { Browser, BrowserContextOptions, Page } from 'playwright-core';

import { launchChromium } from './support/chromium.js';
import { KEYS, RealmServer } from './support/realm-server.js';

/** A wait that takes longer than this has failed. */
const PATIENCE_MS = 120_000;
/** Screenshots for people to look at; not in git. */
const PICTURES = resolve('build/page');
/** The browser's own line about the list of models that was asked for without a key. */
const REFUSED = /^Failed to load resource: .* 401 /;

const opened: (() => Promise<void>)[] = [];
let server: RealmServer;
let browser: Browser;

before(async () => {
  await mkdir(PICTURES, { recursive: true });
  server = await RealmServer.start();
  opened.push(() => server[Symbol.asyncDispose]());
  browser = await launchChromium();
  opened.push(() => browser.close());
});

after(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

/** The page, newly opened, and what its console complains of. */
async function open(options: BrowserContextOptions = {}): Promise<{ page: Page; complaints: string[] }> {
  const page = await (await browser.newContext(options)).newPage();
  const complaints: string[] = [];
  page.on('console', (line) => {
    if (['error', 'warning'].includes(line.type()) && !REFUSED.test(line.text())) complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url)) complaints.push(`a request to ${request.url()}`);
  });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(server.url);
  return { page, complaints };
}

async function enterKey(page: Page, key: string): Promise<void> {
  await page.getByText('This server asks for an API key.').waitFor();
  await page.getByLabel('API key').fill(key);
  await page.getByLabel('API key').press('Enter');
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Message' }).fill(text);
  await page.getByRole('textbox', { name: 'Message' }).press('Enter');
}

/** Makes what the page asks for foreseeable, which the page itself leaves to the server. */
async function asking(page: Page, fields: object): Promise<void> {
  await page.route('**/v1/chat/completions', async (route) => {
    const asked = route.request().postDataJSON() as object;
    await route.continue({ postData: JSON.stringify({ ...asked, ...fields }) });
  });
}

/** Waits until the answer has more characters than that, and counts them. */
async function longer(page: Page, than: number): Promise<number> {
  const grown = await page.waitForFunction((length) => {
    const now = document.querySelector('.message.assistant .text')?.textContent?.length ?? 0;
    return now > length && now;
  }, than);
  return Number(await grown.jsonValue());
}

const answer = (page: Page, index = 0): ReturnType<Page['locator']> => page.locator('.message.assistant .text').nth(index);

test('asks for a key, then answers and goes on with the conversation', async () => {
  const { page, complaints } = await open();
  await asking(page, { temperature: 0, max_tokens: 40 });
  await enterKey(page, KEYS.main);
  await page.getByText('Ready.').waitFor();
  assert.equal(await page.getByRole('combobox', { name: 'Model' }).inputValue(), 'smollm2');
  await say(page, 'Name the capital of France.');
  await page.locator('#status', { hasText: /^\d+ tokens?\.$/ }).waitFor();
  const text = String(await answer(page).textContent());
  assert.match(text, /Paris/);
  assert.match(String(await page.locator('#speed').textContent()), /^\d+\.\d tokens per second$/);

  const sent = page.waitForRequest(/chat\/completions$/);
  await say(page, 'And of Italy?');
  const { messages } = (await sent).postDataJSON() as { messages: { role: string; content: string }[] };
  assert.deepEqual(messages.map(({ role }) => role), ['user', 'assistant', 'user']);
  assert.equal(messages[1]?.content, text);
  await page.locator('#status', { hasText: /^\d+ tokens?\.$/ }).waitFor();
  await page.screenshot({ path: `${PICTURES}/light.png`, fullPage: true });

  await page.getByRole('button', { name: 'New conversation' }).click();
  assert.equal(await page.locator('.message').count(), 0);
  assert.equal(await page.getByRole('textbox', { name: 'Message' }).evaluate((box) => box === document.activeElement), true);
  assert.deepEqual(complaints, []);
});

test('an answer grows until it is stopped, and the server hears of it', async () => {
  const { page, complaints } = await open();
  await enterKey(page, KEYS.main);
  await page.getByText('Ready.').waitFor();
  // No token ends it.
  await asking(page, { max_tokens: 1500, logit_bias: { '0': -100, '2': -100 } });
  const disconnects = (): Promise<number> => server.sample('realm_client_disconnects_total', { tenant: 'main' });
  const earlier = await disconnects();
  await say(page, 'Count from one upwards.');
  // It is far from its end, and is shown as it grows.
  for (let length = 0, looks = 0; looks < 3; looks += 1) length = await longer(page, length);
  await page.getByRole('button', { name: 'Stop' }).click();
  await page.locator('#status', { hasText: 'Stopped.' }).waitFor();
  const text = await answer(page).textContent();
  while ((await disconnects()) !== earlier + 1) await new Promise((done) => setTimeout(done, 20));
  assert.equal(await answer(page).textContent(), text);
  assert.equal(await page.getByRole('textbox', { name: 'Message' }).evaluate((box) => box === document.activeElement), true);
  assert.deepEqual(complaints, []);
});

test('what the server refuses is told in words, and the message is given back', async () => {
  const { page, complaints } = await open();
  await asking(page, { temperature: 0, max_tokens: 4 });
  await enterKey(page, 'rlm_wrong');
  await page.getByRole('alert').filter({ hasText: /^Error: .*key/i }).waitFor();
  await page.getByLabel('API key').fill(KEYS.limited);
  await page.getByLabel('API key').press('Enter');
  await page.getByText('Ready.').waitFor();
  const limited = page.getByRole('alert').filter({ hasText: /requests.* Try again in \d+ seconds?\./ });
  for (let asked = 1; !(await limited.isVisible()); asked += 1) {
    assert.ok(asked <= 3, 'two requests a minute are allowed');
    await say(page, 'Say yes.');
    await page.getByRole('button', { name: 'Send' }).waitFor();
  }
  assert.equal(await page.getByRole('textbox', { name: 'Message' }).inputValue(), 'Say yes.');
  assert.deepEqual(complaints.filter((line) => !/status of 429/.test(line)), []);
});

test('what a model or a reader writes is never markup', async () => {
  const { page, complaints } = await open();
  await enterKey(page, KEYS.main);
  await page.getByText('Ready.').waitFor();
  const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>';
  await page.route('**/v1/chat/completions', async (route) => {
    const data = JSON.stringify({ choices: [{ index: 0, delta: { content: hostile }, finish_reason: 'stop' }] });
    await route.fulfill({ contentType: 'text/event-stream', body: `data: ${data}\n\ndata: [DONE]\n\n` });
  });
  await say(page, hostile);
  await page.locator('#status', { hasText: '1 token.' }).waitFor();
  assert.deepEqual(await page.locator('.message .text').allTextContents(), [hostile, hostile]);
  assert.equal(await page.locator('#log img, #log script').count(), 0);
  assert.deepEqual(complaints, []);
});

test('the key lives in the session only, and every control has a name', async () => {
  const { page, complaints } = await open({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' });
  await enterKey(page, KEYS.main);
  await page.getByText('Ready.').waitFor();
  await page.reload();
  await page.getByText('Ready.').waitFor();
  const kept = await page.evaluate(() => [Object.values(sessionStorage), Object.values(localStorage), [document.cookie]]);
  assert.deepEqual(kept, [[KEYS.main], [], ['']]);
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send('Accessibility.getFullAXTree');
  const controls = nodes.filter(({ ignored, role }) => !ignored && /^(button|textbox|combobox|log)$/i.test(String(role?.value)));
  const names = controls.map(({ name }) => String(name?.value)).sort();
  assert.deepEqual(names, ['API key', 'Conversation', 'Message', 'Model', 'New conversation', 'Send']);
  await asking(page, { temperature: 0, max_tokens: 40 });
  await say(page, 'Name three colours.');
  await page.locator('#status', { hasText: /^\d+ tokens?\.$/ }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
  await page.screenshot({ path: `${PICTURES}/narrow-dark.png` });
  assert.deepEqual(complaints, []);
});

test('events are read wherever the bytes are cut', async () => {
  const { page } = await open();
  const read = await page.evaluate(async (path: string) => {
    const { EventParser } = (await import(path)) as { EventParser: new () => { push(bytes: Uint8Array): string[] } };
    const bytes = new TextEncoder().encode(': open\n\ndata: é🙂\n\ndata:a\r\ndata: b\r\n\r\nevent: x\rdata: [DONE]\r\r\n');
    return Array.from(bytes, (_, cut) => {
      const parser = new EventParser();
      return [...parser.push(bytes.slice(0, cut)), ...parser.push(bytes.slice(cut))];
    });
  }, '/assets/client.js');
  for (const events of read) assert.deepEqual(events, ['é🙂', 'a\nb', '[DONE]']);
});
