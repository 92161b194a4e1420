/** The page: one conversation, kept in memory only. What a model writes is text and never markup. */

import { answer, models } from './client.js';

/** Where the key is kept until the tab closes. */
const KEY = 'realm.key';
/** Who reads within this distance of the end, in pixels, is taken along. */
const NEAR_END_PX = 80;
/** Time between two looks at the speed, in milliseconds. */
const SPEED_EVERY_MS = 500;

const at = (id) => document.getElementById(id);
const [log, empty, error, status, speed] = ['log', 'empty', 'error', 'status', 'speed'].map(at);
const [key, model, message, send, stop, fresh] = ['key', 'model', 'message', 'send', 'stop', 'fresh'].map(at);

/** The turns so far, as the server takes them. */
let turns = [];
/** Ends the answer that is being written; there is at most one. */
let running;

/** A message of the conversation on the page. */
class Message {
  #article = document.createElement('article');
  #text = document.createTextNode('');
  #waiting = '';
  #frame = 0;

  constructor(role, who) {
    const heading = document.createElement('h2');
    const paragraph = document.createElement('p');
    heading.textContent = who;
    paragraph.className = 'text';
    paragraph.dir = 'auto';
    paragraph.append(this.#text);
    this.#article.className = `message ${role}`;
    this.#article.append(heading, paragraph);
    keepingEnd(() => log.append(this.#article));
  }

  /** Whether more is to come: then a screen reader waits for the whole. */
  set busy(busy) {
    if (!this.#article.isConnected) return;
    for (const element of [this.#article, log]) element.setAttribute('aria-busy', String(busy));
  }

  /** Shows more of the text, at most once a frame. */
  write(text) {
    this.#waiting += text;
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  /** Shows what waits: a tab in the background has no frames. */
  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const waiting = this.#waiting;
    this.#waiting = '';
    if (waiting !== '') keepingEnd(() => this.#text.appendData(waiting));
  }

  note(text) {
    const note = document.createElement('p');
    note.className = 'note';
    note.textContent = text;
    keepingEnd(() => this.#article.append(note));
  }

  remove() {
    this.#article.remove();
  }
}

/** Counts tokens from the first one on, so that the time of the prompt is not in it. */
class Pace {
  #first = 0;
  #last = 0;
  #shown = 0;
  tokens = 0;

  /** Notes a piece: about one token. */
  piece() {
    this.#last = performance.now();
    this.#first ||= this.#last;
    this.tokens += 1;
    if (this.#last - this.#shown < SPEED_EVERY_MS) return;
    this.#shown = this.#last;
    speed.textContent = this.words();
  }

  words() {
    const seconds = (this.#last - this.#first) / 1000;
    return seconds > 0 && this.tokens > 1 ? `${((this.tokens - 1) / seconds).toFixed(1)} tokens per second` : '';
  }
}

function keepingEnd(change) {
  const page = document.documentElement;
  const near = page.scrollHeight - page.clientHeight - page.scrollTop < NEAR_END_PX;
  change();
  if (near) page.scrollTop = page.scrollHeight;
}

function complain(failure) {
  error.textContent = `Error: ${failure.message}`;
  keepingEnd(() => (error.hidden = false));
  status.textContent = speed.textContent = '';
  if (failure.status === 401) key.focus();
}

function answering(controller) {
  running = controller;
  const held = document.activeElement;
  send.hidden = controller !== undefined;
  stop.hidden = controller === undefined;
  // Focus must not fall off the page with a button that goes.
  if (held === send || held === stop) message.focus();
}

/** Fills the list of models. Without a key a refusal is no error: the server asks for one. */
async function refresh() {
  const [given, chosen] = [key.value.trim(), model.value];
  error.hidden = true;
  try {
    const names = await models(given);
    if (given !== key.value.trim()) return;
    model.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
    model.disabled = false;
    status.textContent = 'Ready.';
  } catch (failure) {
    if (given !== key.value.trim()) return;
    model.replaceChildren();
    model.disabled = true;
    if (failure.status === 401 && given === '') status.textContent = 'This server asks for an API key.';
    else complain(failure);
  }
}

/** Sends the message that is written, and shows the answer. What was not answered at all is given back. */
async function submit() {
  const content = message.value;
  if (running || content.trim() === '') return;
  const controller = new AbortController();
  answering(controller);
  if (model.value === '') await refresh();
  if (model.value === '' || controller.signal.aborted) {
    answering(undefined);
    if (model.disabled && key.value === '') key.focus();
    return;
  }
  const question = new Message('user', 'You');
  question.write(content);
  question.flush();
  message.value = '';
  empty.hidden = error.hidden = true;
  const reply = await converse([...turns, { role: 'user', content }], controller);
  // Another conversation has begun meanwhile.
  if (running !== controller) return;
  answering(undefined);
  if (reply !== '') {
    turns.push({ role: 'user', content }, { role: 'assistant', content: reply });
    return;
  }
  question.remove();
  empty.hidden = turns.length > 0;
  message.value ||= content;
}

/** Shows the answer to `messages` as it comes, and returns its text. */
async function converse(messages, controller) {
  const [shown, pace] = [new Message('assistant', model.value), new Pace()];
  let [text, finish, failure] = ['', ''];
  status.textContent = 'Answering…';
  speed.textContent = '';
  shown.busy = true;
  try {
    const asked = { key: key.value.trim(), model: model.value, messages, signal: controller.signal };
    for await (const part of answer(asked)) {
      if (part.text) {
        text += part.text;
        shown.write(part.text);
        pace.piece();
      }
      finish = part.finish ?? finish;
      pace.tokens = part.tokens ?? pace.tokens;
    }
  } catch (thrown) {
    failure = thrown;
  }
  shown.flush();
  shown.busy = false;
  // Otherwise another conversation has begun, and this one is off the page.
  if (running === controller) conclude(shown, { finish, failure, pace, stopped: controller.signal.aborted });
  if (text === '') shown.remove();
  return text;
}

function conclude(shown, { finish, failure, pace, stopped }) {
  if (failure && !stopped) {
    complain(failure);
    shown.note('The answer is not complete.');
    return;
  }
  status.textContent = failure ? 'Stopped.' : `${pace.tokens} ${pace.tokens === 1 ? 'token' : 'tokens'}.`;
  speed.textContent = pace.words();
  if (failure) shown.note('Stopped.');
  else if (finish === 'length') shown.note('The answer ends here because it may have no more tokens.');
}

function begin() {
  running?.abort();
  answering(undefined);
  turns = [];
  log.replaceChildren();
  log.setAttribute('aria-busy', 'false');
  empty.hidden = false;
  error.hidden = true;
  status.textContent = 'New conversation.';
  speed.textContent = '';
  message.focus();
}

key.value = sessionStorage.getItem(KEY) ?? '';
key.addEventListener('change', () => {
  sessionStorage.setItem(KEY, key.value.trim());
  refresh();
});
at('settings').addEventListener('submit', (event) => {
  // Enter has told of the change already.
  event.preventDefault();
  message.focus();
});
at('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  submit();
});
message.addEventListener('keydown', (event) => {
  // Enter within an input method picks a word.
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
stop.addEventListener('click', () => running?.abort());
fresh.addEventListener('click', begin);
refresh();
