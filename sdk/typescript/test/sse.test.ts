/** The parser of server-sent events, seen through a stream whose bytes come in given pieces. */

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { APIError, OverloadedError, ProtocolError, Realm, StreamCutError } from '@querent/realm';

import { piece, usageEvent } from './support/documents.js';

/** A client whose server sends these bytes. */
function clientOf(pieces: readonly Uint8Array[], type = 'text/event-stream'): Realm {
  const answer = async (): Promise<Response> => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const bytes of pieces) controller.enqueue(bytes);
        controller.close();
      },
    });
    return new Response(body, { headers: { 'content-type': type, 'x-request-id': 'req-7' } });
  };
  return new Realm({ baseURL: 'http://realm.test', model: 'm', fetch: answer, maxRetries: 0 });
}

async function read(pieces: readonly Uint8Array[]): Promise<string> {
  return await (await clientOf(pieces).completions.stream({ prompt: 'p' })).text();
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

const WHOLE: readonly (readonly [name: string, text: string, expected: string])[] = [
  ['LF', `data: ${piece('a')}\n\ndata: ${piece('b')}\n\ndata: [DONE]\n\n`, 'ab'],
  ['CRLF', `data: ${piece('a')}\r\n\r\ndata: ${piece('b')}\r\n\r\ndata: [DONE]\r\n\r\n`, 'ab'],
  ['CR', `data: ${piece('a')}\r\rdata: ${piece('b')}\r\rdata: [DONE]\r\r`, 'ab'],
  ['mixed ends of lines', `data: ${piece('a')}\r\n\ndata: ${piece('b')}\n\r\ndata: [DONE]\r\n\n`, 'ab'],
  ['no space after the colon', `data:${piece('a')}\n\ndata:[DONE]\n\n`, 'a'],
  ['comments', `: hello\n\ndata: ${piece('a')}\n: between\n\n:\n\ndata: [DONE]\n\n`, 'a'],
  ['data in several lines', `data: ${piece('a').replace(',', ',\ndata: ')}\n\ndata: [DONE]\n\n`, 'a'],
  ['lines of data that end with CRLF', `data: ${piece('a').replace(',', ',\r\ndata: ')}\r\n\r\ndata: [DONE]\r\n\r\n`, 'a'],
  ['other fields', `retry: 5\nid: 1\nevent: x\ndata: ${piece('a')}\nwhat\n\ndata: [DONE]\n\n`, 'a'],
  ['an event without data', `event: ping\n\ndata: ${piece('a')}\n\ndata: [DONE]\n\n`, 'a'],
  ['a byte order mark', `\uFEFFdata: ${piece('a')}\n\ndata: [DONE]\n\n`, 'a'],
  ['characters of two to four bytes', `data: ${piece('é€😀')}\n\ndata: [DONE]\n\n`, 'é€😀'],
  ['lines of text', `data: ${piece('a\n\nb\r')}\n\ndata: [DONE]\n\n`, 'a\n\nb\r'],
  ['bytes after the end', `data: ${piece('a')}\n\ndata: [DONE]\n\ndata: {`, 'a'],
];

for (const [name, text, expected] of WHOLE) {
  test(`${name}: one piece, single bytes, and every cut in two`, async () => {
    const all = bytes(text);
    assert.equal(await read([all]), expected);
    assert.equal(await read(Array.from(all, (byte) => Uint8Array.of(byte))), expected);
    for (let cut = 0; cut <= all.length; cut++) {
      assert.equal(await read([all.slice(0, cut), all.slice(cut)]), expected, `cut at ${cut}`);
    }
  });
}

const CUT: readonly (readonly [name: string, text: string])[] = [
  ['nothing at all', ''],
  ['no end', `data: ${piece('a')}\n\n`],
  ['a finish but no end', `data: ${piece('a', 'stop')}\n\n${`data: ${usageEvent}\n\n`}`],
  ['an end without its empty line', `data: ${piece('a')}\n\ndata: [DONE]\n`],
  ['half an event', `data: ${piece('a')}\n\ndata: {"id"`],
];

for (const [name, text] of CUT) {
  test(`${name} is no whole answer`, async () => {
    await assert.rejects(read([bytes(text)]), (error) => {
      assert.ok(error instanceof StreamCutError, String(error));
      assert.equal(error.requestId, 'req-7');
      return true;
    });
  });
}

test('what came before a cut is given', async () => {
  const stream = await clientOf([bytes(`data: ${piece('a')}\n\n`)]).completions.stream({ prompt: 'p' });
  const texts: string[] = [];
  await assert.rejects(async () => {
    for await (const token of stream) texts.push(token.text);
  }, StreamCutError);
  assert.deepEqual(texts, ['a']);
  assert.equal(stream.finishReason, undefined);
});

test('an error in the stream ends it', async () => {
  const error = { message: 'stopping', type: 'server_error', param: null, code: 'stopping', tenant: 'acme' };
  const text = `data: ${piece('a')}\n\ndata: ${JSON.stringify({ error })}\n\n`;
  await assert.rejects(read([bytes(text)]), (thrown) => {
    assert.ok(thrown instanceof OverloadedError);
    const { message, status, code, type, tenant, requestId } = thrown;
    assert.deepEqual(
      { message, status, code, type, tenant, requestId },
      { message: 'stopping', status: undefined, code: 'stopping', type: 'server_error', tenant: 'acme', requestId: 'req-7' },
    );
    return true;
  });
  await assert.rejects(read([bytes('data: {"error": {}}\n\n')]), APIError);
});

test('what is no answer of this API is refused', async () => {
  const other = clientOf([bytes('<html>')], 'text/html');
  await assert.rejects(other.completions.stream({ prompt: 'p' }), ProtocolError);
  for (const text of ['{', '[]', '{}', '{"choices": [{"index": 0}]}', '{"choices": [{"index": "0", "text": ""}]}']) {
    await assert.rejects(read([bytes(`data: ${text}\n\n`)]), (error) => {
      assert.ok(error instanceof ProtocolError, `${text}: ${String(error)}`);
      assert.equal(error.requestId, 'req-7');
      return true;
    });
  }
});

test('a line without end is refused before it fills the memory', async () => {
  const block = new Uint8Array(1 << 20).fill(97);
  await assert.rejects(read([bytes('data: '), ...Array.from({ length: 17 }, () => block)]), ProtocolError);
});

test('usage and finish reason are known after the loop', async () => {
  const text = [piece('a'), piece('', 'length'), usageEvent, '[DONE]'].map((data) => `data: ${data}\n\n`);
  const stream = await clientOf([bytes(text.join(''))]).completions.stream({ prompt: 'p' });
  assert.equal(stream.usage, undefined);
  assert.equal(await stream.text(), 'a');
  assert.equal(stream.finishReason, 'length');
  assert.deepEqual(stream.usage, { promptTokens: 3, completionTokens: 2, totalTokens: 5, cachedTokens: 1 });
  await assert.rejects(stream.text(), /only once/);
});
