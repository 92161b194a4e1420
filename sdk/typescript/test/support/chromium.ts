/** A headless Chromium: the one that `REALM_CHROMIUM` names, else the one that comes with the development packages (Linux on x86-64). */

import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';

import packaged from '@sparticuz/chromium';
import { type Browser, chromium } from 'playwright-core';

/** Where the packaged browser is unpacked; `npm ci` removes it. */
const FOLDER = resolve('node_modules/.cache/chromium');

/** Starts the browser. */
export async function launchChromium(): Promise<Browser> {
  const given = process.env['REALM_CHROMIUM'];
  const executablePath = given || (await unpack());
  const args = given ? ['--no-sandbox'] : packaged.args;
  return await chromium.launch({ executablePath, args, headless: true });
}

/** Unpacks beside the packages: a place that all users of a machine can write to holds no programs to run. */
async function unpack(): Promise<string> {
  mkdirSync(FOLDER, { recursive: true });
  const earlier = process.env['TMPDIR'];
  process.env['TMPDIR'] = FOLDER;
  try {
    return await packaged.executablePath();
  } finally {
    if (earlier === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = earlier;
  }
}
